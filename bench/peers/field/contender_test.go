package field

import (
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/seed-0c889b51/weir/internal/measure"
)

// Each contender lets the quota pass, and no more, of each key if it has keys,
// by the bytes of the key.
func TestContendersLimit(t *testing.T) {
	t.Parallel()
	for _, c := range All() {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			if c.Algorithm == Spacer {
				t.Skip("lets requests wait and refuses none")
			}
			limiter, err := c.Make(Limit{3, 24 * time.Hour}, 1000)
			if err != nil {
				t.Fatal(err)
			}
			defer limiter.Close()
			for _, row := range []struct {
				why  string
				key  int
				want bool
			}{
				{"the first of the quota", 1, true},
				{"the second, with an equal key elsewhere", 1, true},
				{"the third", 1, true},
				{"over the quota", 1, false},
				{"over the quota still", 1, false},
				{"another key", 2, c.Keyed},
				{"another key with the same end", 257, c.Keyed},
				{"over the quota after others", 1, false},
			} {
				if got := limiter.Allow(keyOf(row.key)); got != row.want {
					t.Errorf("%s: allowed is %v: want %v", row.why, got, row.want)
				}
			}
		})
	}
}

// A contender that is said to keep only so many keys forgets some, or what it
// knows of them is small and elsewhere: weir's debts. The others forget none.
func TestContendersAreBoundedAsTheySay(t *testing.T) {
	t.Parallel()
	const size = 1000
	for _, c := range All() {
		if !c.Keyed || c.Ours {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			limiter, err := c.Make(Limit{1, 24 * time.Hour}, size)
			if err != nil {
				t.Fatal(err)
			}
			defer limiter.Close()
			again := 0
			for range 2 {
				again = 0
				for i := range 4 * size {
					if limiter.Allow(keyOf(i)) {
						again++
					}
				}
			}
			if (again > 0) != c.Bounded {
				t.Errorf("%d of %d keys were forgotten: want some: %v", again, 4*size, c.Bounded)
			}
		})
	}
}

func TestWeirForgetsNoDebtOfKeysThatItDoesNotKeep(t *testing.T) {
	t.Parallel()
	const size = 1000
	limiter, err := makeRegistry(Limit{1, 24 * time.Hour}, size)
	if err != nil {
		t.Fatal(err)
	}
	again := 0
	for range 2 {
		again = 0
		for i := range 2 * size { // half of what there is room for, since sets of debts fill unevenly
			if limiter.Allow(keyOf(i)) {
				again++
			}
		}
	}
	if again > size/50 {
		t.Errorf("%d of %d keys were forgotten: want few, if any", again, 2*size)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, c := range All() {
		if seen[c.Name] {
			t.Errorf("two contenders are called %s", c.Name)
		}
		seen[c.Name] = true
		if got, err := ByName(c.Name); err != nil || got.Name != c.Name {
			t.Errorf("ByName(%q): %v, %v", c.Name, got.Name, err)
		}
	}
	if _, err := ByName("nobody"); err == nil || !strings.Contains(err.Error(), Weir) {
		t.Errorf("ByName of nobody: %v: want an error with the names", err)
	}
	names := map[string]bool{}
	for _, s := range Subjects() {
		if names[s.Name] {
			t.Errorf("two subjects are called %s", s.Name)
		}
		names[s.Name] = true
	}
	for name := range seen {
		if !names[name] {
			t.Errorf("contender %s is not measured", name)
		}
	}
}

// As a subject a contender has the limit of the workload, and one that has
// another burst is refused.
func TestSubjectsHaveTheLimitOfTheWorkload(t *testing.T) {
	t.Parallel()
	w, err := measure.ManyKeys("w", 2, measure.Limit{Quota: 3, Window: 24 * time.Hour, Burst: 3})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range Subjects() {
		if s.Kind == measure.Floor {
			continue
		}
		decide, done, err := s.Make(w)
		if err != nil {
			t.Errorf("%s: %v", s.Name, err)
			continue
		}
		var got []bool
		for range 4 {
			got = append(got, decide(w.Asked(0)))
		}
		if want := []bool{true, true, true, false}; !slices.Equal(got, want) {
			t.Errorf("%s: four requests of 3 are allowed: %v", s.Name, got)
		}
		if done != nil {
			done()
		}
	}
	w.Limit.Burst = 2
	i := slices.IndexFunc(Subjects(), func(s measure.Subject) bool { return s.Name == "go-limiter" })
	if _, _, err := Subjects()[i].Make(w); err == nil || !strings.Contains(err.Error(), "burst") {
		t.Errorf("a burst of 2 under a quota of 3: %v: want an error", err)
	}
}

func TestKeyOf(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for i := range 70_000 {
		key := keyOf(i)
		if len(key) != 15 || seen[key] {
			t.Fatalf("keyOf(%d) is %q", i, key)
		}
		seen[key] = true
	}
	if a, b := keyOf(258), keyOf(258); a != "100.000.001.002" || a != b || unsafe.StringData(a) == unsafe.StringData(b) {
		t.Errorf("keyOf(258) is %q and %q at %p and %p: want 100.000.001.002 in two places", a, b, unsafe.StringData(a), unsafe.StringData(b))
	}
}
