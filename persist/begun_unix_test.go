//go:build unix

package persist

import (
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func init() { jobs["begun"] = begunJob }

// A run that could not write that it has begun says so with its first save,
// though that has nothing else to say: should it crash, its end was not clean.
func TestBegunIsWrittenLate(t *testing.T) {
	t.Parallel()
	c := newClock()
	path := filepath.Join(t.TempDir(), "state")
	f := mustOpen(t, path, Config{}, c)
	mustSave(t, f, Snapshot{Final: true, Sections: []Section{section("a", daily, debts{1: time.Hour})}})
	mustClose(t, f)
	if out, err := child(t, "begun", path).CombinedOutput(); err != nil {
		t.Fatalf("child: %v\n%s", err, out)
	}
	if got, res := loadAll(mustOpen(t, path, Config{}, c)); res.Clean || res.New || len(got["a"]) != 1 {
		t.Errorf("%v, %+v: want that the last run was not clean", got, res)
	}
}

func begunJob(path string) int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		fmt.Println(err)
		return 1
	}
	tight := limit
	tight.Cur = 4096
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &tight); err != nil {
		fmt.Println(err)
		return 1
	}
	c := newClock()
	f, err := open(path, Config{}, c.read)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	if info, err := read(path, Config{}, c.read); err != nil || !info.Info().Restored.Clean {
		fmt.Println("this test has no effect: the run has said that it has begun:", err)
		return 1
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		fmt.Println(err)
		return 1
	}
	if _, err := f.Save(Snapshot{}); err != nil {
		fmt.Println(err)
		return 1
	}
	if saved, err := f.Save(Snapshot{}); err != nil || saved.Bytes != 0 {
		fmt.Println("a second save of nothing:", saved, err)
		return 1
	}
	return 0 // and no Close: it has crashed
}
