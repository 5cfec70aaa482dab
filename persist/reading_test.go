package persist

import (
	"path/filepath"
	"testing"
	"time"
)

// Clocks are read one after the other, and a process may be held up between.
// What passes there must not be credited twice: a debt never ends early.
func TestSlowReadingOfClocks(t *testing.T) {
	t.Parallel()
	c := newClock()
	var slow time.Duration
	clocks := func() reading {
		r := c.read()
		c.pass(slow)
		r.boot = c.boot
		return r
	}
	path := filepath.Join(t.TempDir(), "state")
	f, err := open(path, Config{}, clocks)
	if err != nil {
		t.Fatal(err)
	}
	start := c.mono
	mustSave(t, f, Snapshot{Sections: []Section{section("a", daily, debts{1: time.Hour})}})
	mustClose(t, f)
	slow = time.Minute
	f, err = open(path, Config{}, clocks)
	if err != nil {
		t.Fatal(err)
	}
	slow = 0
	got, _ := loadAll(f)
	if least := time.Hour - c.mono.Sub(start); got["a"][1] < least {
		t.Errorf("the debt is %v: want %v at least", got["a"][1], least)
	}
	mustClose(t, f)
}
