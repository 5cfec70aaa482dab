package persist

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/seed-0c889b51/weir/bucket"
)

// newState makes a closed file with a snapshot.
func newState(t *testing.T, c *fakeClock, final bool, sections ...Section) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "state")
	f := mustOpen(t, path, Config{Interval: time.Minute}, c)
	mustSave(t, f, Snapshot{Final: final, Sections: sections})
	mustClose(t, f)
	return path
}

// withKeyOf makes a directory with the secret of a file, and returns the path of
// the file that belongs there.
func withKeyOf(t *testing.T, path string) string {
	t.Helper()
	other := filepath.Join(t.TempDir(), "state")
	writeFile(t, other+".key", readFile(t, path+".key"))
	return other
}

func exported(t *testing.T, path string, c *fakeClock) string {
	t.Helper()
	var b strings.Builder
	if err := mustRead(t, path, c).Export(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestExport(t *testing.T) {
	t.Parallel()
	c := newClock()
	path := newState(t, c, true,
		section("user", bucket.Limit{Quota: 1000, Window: 24 * time.Hour, Burst: 50}, debts{0xff: 2 * time.Second}),
		section("<ip>", bucket.PerMinute(100), debts{1 << 63: 3 * time.Second, 3: 4 * time.Second}),
		section("over", bucket.PerSecond(1), debts{1: time.Second}))
	secret := readFile(t, path+".key")
	c.pass(time.Second)
	got := exported(t, path, c)
	want := fmt.Sprintf(`{"format":"weir-state","version":1,"exported_at":"2024-10-04T00:00:01Z","synchronised":true,`+
		`"boot_id":"01000000000000000000000000000000","boot_ns":3601000000000,"secret_id":"%x","policies":[`+
		`{"name":"\u003cip\u003e","limit":"100/min"},{"name":"over","limit":"1/s"},{"name":"user","limit":"1000/day burst 50"}],"records":3}
{"policy":"\u003cip\u003e","hash":"0000000000000003","full_in_ns":3000000000}
{"policy":"\u003cip\u003e","hash":"8000000000000000","full_in_ns":2000000000}
{"policy":"user","hash":"00000000000000ff","full_in_ns":1000000000}
`, secretID(secret))
	if got != want {
		t.Errorf("the export is\n%s\nwant\n%s", got, want)
	}
	if strings.Contains(got, string(secret)) || strings.Contains(strings.ToLower(got), hex.EncodeToString(secret)) {
		t.Error("the export holds the secret")
	}
	c.synced, c.bootID = false, [16]byte{}
	if header, _, _ := strings.Cut(exported(t, path, c), "\n"); !strings.Contains(header, `"synchronised":false,"secret_id"`) {
		t.Errorf("without a boot id the header is %s", header)
	}
}

func TestExportRefuses(t *testing.T) {
	t.Parallel()
	c := newClock()
	fresh := filepath.Join(t.TempDir(), "state")
	if err := create(fresh); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ why, path, want string }{
		{"nothing that could be told by a secret", fresh, "nothing has been saved to it yet"},
		{"a name that JSON would change", newState(t, c, true, section("a\xff", daily, debts{1: time.Hour})),
			`name of policy "a\xff" is not UTF-8, and JSON cannot hold it`},
	} {
		var b strings.Builder
		if err := mustRead(t, tt.path, c).Export(&b); err == nil || !strings.Contains(err.Error(), tt.want) || b.Len() > 0 {
			t.Errorf("%s: %v, and %d bytes: want %s", tt.why, err, b.Len(), tt.want)
		}
	}
	newer := mustRead(t, newState(t, c, true, section("a", daily, debts{1: time.Hour})), c)
	newer.info.Restored.Skipped = 2
	var b strings.Builder
	if err := newer.Export(&b); err == nil || !strings.Contains(err.Error(), "2 chunks are of a newer version: update") || b.Len() > 0 {
		t.Errorf("chunks that cannot be read: %v, and %d bytes", err, b.Len())
	}
	if err := mustRead(t, newState(t, c, true), c).Export(broken{}); !errors.Is(err, errNoRoom) {
		t.Errorf("a full disk: %v", err)
	}
}

var errNoRoom = errors.New("no room")

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errNoRoom }

// Whatever a file holds, what is imported elsewhere is the same.
func TestExportAndImport(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		c := newClock()
		limits := map[string]bucket.Limit{"ip": bucket.PerMinute(100), "user": daily, "日 \"\n\\": {Quota: 3, Window: 1500 * time.Microsecond, Burst: 7}}
		var sections []Section
		want := map[string]debts{}
		for name, limit := range limits {
			d := rapid.MapOf(rapid.Uint64(), rapid.Custom(func(rt *rapid.T) time.Duration {
				return time.Duration(rapid.Int64Range(0, int64(limit.Refill())).Draw(rt, "debt"))
			})).Draw(rt, "debts")
			sections = append(sections, section(name, limit, d))
			for hash, debt := range d {
				if debt > 0 {
					if want[name] == nil {
						want[name] = debts{}
					}
					want[name][hash] = debt
				}
			}
		}
		from := filepath.Join(dir, fmt.Sprint(run, "from"), "state")
		f := mustOpen(t, from, Config{}, c)
		clean := rapid.Bool().Draw(rt, "clean")
		if _, err := f.Save(Snapshot{Final: clean, Sections: sections}); err != nil {
			rt.Fatal(err)
		}
		if err := f.Close(); err != nil {
			rt.Fatal(err)
		}
		to := filepath.Join(dir, fmt.Sprint(run, "to"), "state")
		if err := os.Mkdir(filepath.Dir(to), 0o700); err != nil {
			rt.Fatal(err)
		}
		writeFile(t, to+".key", readFile(t, from+".key"))
		text := exported(t, from, c)
		done, err := importInto(to, Config{}, strings.NewReader(text), c.read)
		if err != nil {
			rt.Fatal(err)
		}
		copyOf := mustRead(t, to, c)
		got := copied(copyOf)
		n := 0
		for name := range limits {
			n += len(want[name])
			if len(got[name]) != len(want[name]) {
				rt.Fatalf("policy %q has %d records: want %d", name, len(got[name]), len(want[name]))
			}
			for hash, debt := range want[name] {
				if d := got[name][hash]; d < debt || d > debt+2*fine {
					rt.Fatalf("policy %q: %x owes %v: want %v", name, hash, d, debt)
				}
			}
		}
		if done.Records != n || done.Raised != n || done.Over != 0 || done.Policies != len(want) || !copyOf.Info().Restored.Clean {
			rt.Fatalf("Imported = %+v: want %d records; %+v", done, n, copyOf.Info())
		}
	})
}

// Of two debts the longer counts, under the limit that the file has; what the
// input says nothing of stays.
func TestImportMerges(t *testing.T) {
	t.Parallel()
	c := newClock()
	half := bucket.Limit{Quota: 500, Window: 24 * time.Hour, Burst: 500}
	path := newState(t, c, true,
		section("a", daily, debts{1: time.Hour, 2: 3 * time.Hour, 4: time.Hour}),
		section("kept", daily, debts{1: time.Hour}),
		section("slower", half, debts{1: time.Hour}),
		section("over", bucket.PerSecond(1), debts{9: time.Second}))
	c.pass(2 * time.Second)
	from := withKeyOf(t, path)
	f := mustOpen(t, from, Config{}, c)
	mustSave(t, f, Snapshot{Sections: []Section{
		section("a", daily, debts{1: 2 * time.Hour, 2: 2 * time.Hour, 3: time.Minute}),
		section("slower", daily, debts{1: 2 * time.Hour, 2: 20 * time.Hour}),
		section("over", bucket.PerSecond(3), debts{1: time.Second}),
		section("new", daily, debts{1: time.Hour}),
	}})
	mustClose(t, f)
	done, err := importInto(path, Config{}, strings.NewReader(exported(t, from, c)), c.read)
	if err != nil {
		t.Fatal(err)
	}
	if done.Records != 7 || done.Raised != 6 || done.Policies != 4 || done.Over != 0 {
		t.Errorf("Imported = %+v", done)
	}
	got := copied(mustRead(t, path, c))
	ago := 2 * time.Second
	same(t, got["a"], debts{1: 2 * time.Hour, 2: 3*time.Hour - ago, 3: time.Minute, 4: time.Hour - ago}, 2*fine)
	same(t, got["kept"], debts{1: time.Hour - ago}, 2*fine)
	same(t, got["slower"], debts{1: 4 * time.Hour, 2: 24 * time.Hour}, 2*fine) // tokens used stay used, up to the burst
	same(t, got["new"], debts{1: time.Hour}, 2*fine)
	info := mustRead(t, path, c).Info()
	if !info.Restored.Clean || info.Restored.Interval != time.Minute {
		t.Errorf("Restored = %+v: want as clean as it was, and its interval", info.Restored)
	}
	// Once more changes nothing.
	before := fmt.Sprint(copied(mustRead(t, path, c)))
	done, err = importInto(path, Config{}, strings.NewReader(exported(t, from, c)), c.read)
	if err != nil || done.Raised != 0 || fmt.Sprint(copied(mustRead(t, path, c))) != before || !mustRead(t, path, c).Info().Restored.Clean {
		t.Errorf("again: %+v, %v", done, err)
	}
}

// An import is no proof that the last run ended well.
func TestImportAfterACrash(t *testing.T) {
	t.Parallel()
	c := newClock()
	path := newState(t, c, false, section("a", daily, debts{1: time.Hour}))
	text := exported(t, path, c)
	for _, in := range []string{text, strings.Replace(text, `"full_in_ns":3600000`, `"full_in_ns":7200000`, 1)} {
		if _, err := importInto(path, Config{}, strings.NewReader(in), c.read); err != nil {
			t.Fatal(err)
		}
		if mustRead(t, path, c).Info().Restored.Clean {
			t.Error("the crash is forgotten")
		}
	}
}

// No debt is longer than one refill, whatever the input says.
func TestImportCapsDebts(t *testing.T) {
	t.Parallel()
	c := newClock()
	path := newState(t, c, true, section("a", daily, debts{1: time.Hour}))
	text := exported(t, path, c)
	text = strings.Replace(text, `"full_in_ns":3600000`, `"full_in_ns":9223372036854`, 1)
	if _, err := importInto(path, Config{}, strings.NewReader(text), c.read); err != nil {
		t.Fatal(err)
	}
	same(t, copied(mustRead(t, path, c))["a"], debts{1: daily.Refill()}, fine)
	// Also by what has passed since.
	c.pass(time.Hour)
	if _, err := importInto(path, Config{}, strings.NewReader(text), c.read); err != nil {
		t.Fatal(err)
	}
	same(t, copied(mustRead(t, path, c))["a"], debts{1: daily.Refill() - time.Hour}, 2*fine)
}

// Time since the export counts only where it is certain.
func TestImportCredit(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		why   string
		pass  time.Duration
		edit  func(c *fakeClock)
		want  time.Duration
		clock string
	}{
		{"the same boot: exact", time.Minute, func(*fakeClock) {}, time.Minute, clockBoot},
		{"the same boot, whatever the wall clock says", time.Minute, func(c *fakeClock) { c.wall, c.synced = 0, false }, time.Minute, clockBoot},
		{"a machine set back", 0, func(c *fakeClock) { c.boot = 5 }, 0, clockNone},
		{"another machine, both with NTP", time.Minute, func(c *fakeClock) { c.bootID[0]++; c.boot = 5 }, time.Minute, clockSynced},
		{"another machine with NTP, behind", 0, func(c *fakeClock) { c.bootID[0]++; c.wall -= 1e9 }, 0, clockSynced},
		{"another machine without", time.Minute, func(c *fakeClock) { c.bootID[0]++; c.synced = false }, 0, clockNone},
		{"no boot id, no NTP", time.Minute, func(c *fakeClock) { c.bootID = [16]byte{}; c.synced = false }, 0, clockNone},
		{"longer than the debt", 2 * time.Hour, func(*fakeClock) {}, 2 * time.Hour, clockBoot},
	} {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			path := newState(t, c, true, section("a", daily, debts{1: time.Hour}))
			text := exported(t, path, c)
			to := withKeyOf(t, path)
			c.pass(tt.pass)
			tt.edit(c)
			done, err := importInto(to, Config{}, strings.NewReader(text), c.read)
			if err != nil || done.Credit != tt.want || done.Clock != tt.clock {
				t.Errorf("Imported = %+v, %v: want %v by %q", done, err, tt.want, tt.clock)
			}
			want := debts{1: time.Hour - tt.want}
			if tt.want >= time.Hour {
				want = debts{}
			}
			same(t, copied(mustRead(t, to, c))["a"], want, 2*fine)
			if done.Over != 1-len(want) {
				t.Errorf("%d are over: want %d", done.Over, 1-len(want))
			}
		})
	}
	c := newClock()
	path := newState(t, c, true, section("a", daily, debts{1: time.Hour}))
	c.bootID = [16]byte{} // and neither has the one that exported it
	text := exported(t, path, c)
	c.synced = false
	if done, err := importInto(path, Config{}, strings.NewReader(text), c.read); err != nil || done.Credit != 0 || done.Clock != clockNone {
		t.Errorf("two systems without boot ids: %+v, %v", done, err)
	}
}
