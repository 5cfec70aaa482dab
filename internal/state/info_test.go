package state_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/internal/state"
	"github.com/seed-0c889b51/weir/persist"
)

func sample() persist.Info {
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	return persist.Info{
		Path: "/var/lib/weir.db", Taken: at, Size: 3 << 19, PageSize: 4096, Pages: 300, FreePages: 20,
		Writer: 2, OldestReader: 1, Segments: 3, Chunks: 4, Records: 50,
		Policies: []persist.PolicyInfo{
			{Name: "ip", Limit: bucket.PerMinute(100), Live: 1, Longest: 1500 * time.Millisecond, Saved: 12345 * time.Millisecond},
			{Name: "two words", Limit: bucket.PerDay(1000)},
			{Name: "user", Limit: bucket.PerDay(1000), Live: 30, Longest: time.Hour + 1},
		},
		Stamp:    persist.Stamp{Timeline: time.Hour, Wall: at, Boot: time.Minute, BootID: [16]byte{1}, Synchronised: at.Add(-time.Hour)},
		Restored: persist.Restored{Records: 31, Policies: 2, Clean: true, Interval: 10 * time.Second, Away: 90 * time.Second, Clock: "same boot"},
		SecretID: bytes.Repeat([]byte{0xab}, 16),
	}
}

func TestWriteInfo(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if err := state.WriteInfo(&b, sample(), []string{"ip", "two words"}); err != nil {
		t.Fatal(err)
	}
	const want = `file      /var/lib/weir.db, 1.5 MiB
pages     300 of 4096 bytes, 20 of them free
format    written as 2, readable from 1 on
written   1m30s ago, by the clock of this boot
ended     clean
clock     2030-01-02T03:04:05Z, 1h0m0s on the file's own timeline, 1m0s after boot 01000000000000000000000000000000, last synchronised 2030-01-02T02:04:05Z
secret    id abababababababababababababababab, it is there
segments  3, with 4 chunks and 50 records, of which 31 live
policy    ip 100/min: 1 live record, the longest debt is 1.5s, last saved 13s ago
policy    "two words" 1000/day: 0 live records
policy    user 1000/day: 30 live records, the longest debt is 1h0m1s; unwanted: it stays until its debts are over
`
	if b.String() != want {
		t.Errorf("it is\n%s\nwant\n%s", b.String(), want)
	}
}

func TestWriteInfoOfOtherFiles(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		why  string
		edit func(i *persist.Info)
		want string
	}{
		{"in use", func(i *persist.Info) { i.InUse, i.Restored.Clean = true, false }, "ended     not yet: it is in use\n"},
		{"a crash", func(i *persist.Info) { i.Restored.Clean = false }, "ended     in a crash: what was spent since it was last saved may be missing, about 10s of it if all went well\n"},
		{"another clock", func(i *persist.Info) { i.Restored.Clock = "synchronised" }, "written   1m30s ago, by the synchronised clock\n"},
		{"a reboot", func(i *persist.Info) { i.Restored.Clock = "since boot" }, "written   at least 1m30s ago, which is how long this machine is up\n"},
		{"no boot ids", func(i *persist.Info) { i.Restored.Clock = "wall clock" }, "written   about 1m30s ago, by the wall clock\n"},
		{"no clock", func(i *persist.Info) { i.Restored.Clock = "none" }, "written   at a time that the clocks do not tell\n"},
		{"a stamp without NTP", func(i *persist.Info) { i.Stamp.Synchronised, i.Stamp.BootID = time.Time{}, [16]byte{} },
			"clock     2030-01-02T03:04:05Z, 1h0m0s on the file's own timeline, never synchronised\n"},
		{"never saved", func(i *persist.Info) {
			*i = persist.Info{Path: "a", Size: 512, Restored: persist.Restored{New: true, Clock: "nothing was kept"}}
		}, "file      a, 512 bytes\npages     0 of 0 bytes, 0 of them free\nformat    written as 0, readable from 0 on\nwritten   never\nended     it has not been used\nsecret    none yet: nothing has been saved\nsegments  0, with 0 chunks and 0 records, of which 0 live\npolicy    none\n"},
		{"no secret", func(i *persist.Info) { i.SecretError = errors.New("a.key is missing") }, "abab, a.key is missing; weir serve could not use the file like this: see --state-key\n"},
		{"chunks of the future", func(i *persist.Info) { i.Restored.Skipped = 2 }, "\n          2 chunks are of a newer version, and are not counted\n"},
		{"a root that is damaged", func(i *persist.Info) { i.Restored.FellBack = true }, "\n          one of the two roots of the file is damaged: the last save was cut off or is lost\n"},
		{"names that would move the cursor", func(i *persist.Info) { i.Path, i.Policies[0].Name = "a\nb", "\x1b[2J\u202e" }, "file      a\\nb, "},
		{"large", func(i *persist.Info) { i.Size = 3 << 30 }, ", 3.0 GiB\n"},
		{"small", func(i *persist.Info) { i.Size = 32 << 10 }, ", 32.0 KiB\n"},
	} {
		i := sample()
		tt.edit(&i)
		var b strings.Builder
		if err := state.WriteInfo(&b, i, nil); err != nil || !strings.Contains(b.String(), tt.want) || strings.ContainsAny(b.String(), "\x1b\u202e") || strings.Contains(b.String(), "unwanted") {
			t.Errorf("%s: %v\n%s\nwant %q in it", tt.why, err, b.String(), tt.want)
		}
	}
}

func TestWriteInfoJSON(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if err := state.WriteInfoJSON(&b, sample(), []string{"ip"}); err != nil {
		t.Fatal(err)
	}
	const want = `{"path":"/var/lib/weir.db","taken_at":"2030-01-02T03:04:05Z","in_use":false,"size":1572864,"page_size":4096,"pages":300,"free_pages":20,` +
		`"format":{"writer":2,"oldest_reader":1},"segments":3,"chunks":4,"records":50,"live":31,"skipped_chunks":0,"fell_back":false,` +
		`"clean":true,"interval_ns":10000000000,"away_ns":90000000000,"clock":"same boot",` +
		`"stamp":{"timeline_ns":3600000000000,"wall":"2030-01-02T03:04:05Z","boot_ns":60000000000,"boot_id":"01000000000000000000000000000000","synchronised_at":"2030-01-02T02:04:05Z"},` +
		`"secret_id":"abababababababababababababababab","secret_error":"","policies":[` +
		`{"name":"ip","limit":"100/min","live":1,"longest_ns":1500000000,"saved_ago_ns":12345000000,"unwanted":false},` +
		`{"name":"two words","limit":"1000/day","live":0,"longest_ns":0,"saved_ago_ns":0,"unwanted":true},` +
		`{"name":"user","limit":"1000/day","live":30,"longest_ns":3600000000001,"saved_ago_ns":0,"unwanted":true}]}` + "\n"
	if b.String() != want {
		t.Errorf("it is\n%s\nwant\n%s", b.String(), want)
	}
	// What is not known is not made up.
	b.Reset()
	if err := state.WriteInfoJSON(&b, persist.Info{SecretError: errors.New("gone")}, nil); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(b.String()), &got); err != nil {
		t.Fatal(err)
	}
	if got["stamp"] != nil || got["secret_error"] != "gone" || got["policies"] == nil || strings.Contains(b.String(), "unwanted") {
		t.Errorf("it is %s", b.String())
	}
}

func TestWriteInfoSaysWhenItCannot(t *testing.T) {
	t.Parallel()
	if state.WriteInfo(full{}, sample(), nil) == nil || state.WriteInfoJSON(full{}, sample(), nil) == nil {
		t.Error("a result that was not written is no result")
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no room") }
