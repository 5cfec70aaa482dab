package weir

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/persist"
)

// Invariant 7: while the disk hangs nobody waits for it.
func TestHangingDiskHoldsUpNoDecision(t *testing.T) {
	t.Parallel()
	l, err := New(Config{
		Policies: []Policy{{Name: "ip", Limit: bucket.PerDay(100), Size: 10}},
		Path:     filepath.Join(t.TempDir(), "weir.db"), Interval: minInterval,
	})
	if err != nil {
		t.Fatal(err)
	}
	l.writer.mu.Lock() // as while a snapshot is at an fsync that does not return
	for i := range 200 {
		if got, want := l.Allow("a"), i < 100; got != want {
			t.Errorf("request %d: %v, want %v", i+1, got, want)
		}
		if !l.Allow(strconv.Itoa(i)) { // a key that is not in memory
			t.Errorf("newcomer %d was denied", i)
		}
	}
	l.Peek(1, "a")
	l.Reset("ip", "a")
	l.Stats()
	l.writer.mu.Unlock()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// Invariant 7: when the disk is dead, decisions are those of a limiter without
// a file.
func TestDeadDiskChangesNoDecision(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "weir.db")
	policy := Policy{Name: "ip", Limit: bucket.Limit{Quota: 10, Window: time.Second, Burst: 20}}
	synctest.Test(t, func(t *testing.T) {
		saved, err := New(Config{Policies: []Policy{policy}, Path: path, Interval: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		plain, _ := Open("", policy)
		same := func(why string) {
			t.Helper()
			for i := range 200 {
				time.Sleep(17 * time.Millisecond)
				if got, want := saved.Take(1+i%3, "a"), plain.Take(1+i%3, "a"); got != want {
					t.Fatalf("%s: %+v, want %+v", why, got, want)
				}
			}
		}
		same("healthy")

		if err := saved.writer.file.Close(); err != nil { // every save fails from now on
			t.Fatal(err)
		}
		same("dead")
		time.Sleep(time.Hour)
		st := saved.Stats()
		if st.SaveErrors < 10 || st.SaveErrors > 40 || st.SaveError == nil || time.Since(st.LastSaved) < time.Hour {
			t.Errorf("an hour later, with a pause of at most 5m: %+v", st)
		}
		if err := saved.Close(); err == nil {
			t.Error("Close tells nothing of the snapshot that it could not take")
		}
		if err := saved.Close(); err != nil {
			t.Errorf("a second Close: %v", err)
		}
	})
}

// After a save has failed the next is of everything.
func TestSaveAfterAnErrorIsFull(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "weir.db")
	policy := Policy{Name: "ip", Limit: bucket.PerDay(10)}
	l, err := Open(path, policy)
	if err != nil {
		t.Fatal(err)
	}
	l.Take(7, "a")
	if err := l.Sync(); err != nil {
		t.Fatal(err)
	}
	l.Take(2, "a")
	for i := range 120_000 { // more than fits into a file of a megabyte
		l.Allow(strconv.Itoa(i))
	}
	good := l.writer.file
	small, err := persist.Open(path+".small", persist.Config{MaxSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer small.Close()
	l.writer.file = small
	if err := l.Sync(); err == nil || l.Stats().SaveError == nil {
		t.Error("a file that is full: no error")
	}
	l.writer.file = good
	if err := l.Sync(); err != nil || l.Stats().SaveError != nil {
		t.Errorf("and once it is well again: %v, %+v", err, l.Stats())
	}
	l.writer.file.Close() // without a final snapshot: a crash
	close(l.writer.stop)
	l, err = Open(path, policy)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if d := l.Peek(1, "a"); d.Remaining != 1 || l.Restored().Clean {
		t.Errorf("after a crash: %+v, restored %+v", d, l.Restored())
	}
}

func TestHashIsHMAC(t *testing.T) {
	t.Parallel()
	secret := []byte(strings.Repeat("s", 32))
	h := newHasher(secret)
	own := hmac.New(sha256.New, secret)
	own.Write([]byte("keys\x00"))
	for _, key := range []string{"", "a", "203.0.113.7", strings.Repeat("k", 64), strings.Repeat("long", 100)} {
		mac := hmac.New(sha256.New, own.Sum(nil))
		mac.Write([]byte(key))
		if got, want := h.hash(key), binary.BigEndian.Uint64(mac.Sum(nil)); got != want {
			t.Errorf("hash of %.20q = %x, want %x", key, got, want)
		}
		if h.hash(key) == newHasher(nil).hash(key) {
			t.Errorf("hash of %.20q does not depend on the secret", key)
		}
	}
}

func TestHashDoesNotAllocate(t *testing.T) {
	hash := newHasher(nil).hash
	if got := testing.AllocsPerRun(100, func() { hash("2001:db8::7") }); got != 0 {
		t.Errorf("%v allocations, want 0", got)
	}
}
