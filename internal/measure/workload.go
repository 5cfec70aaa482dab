package measure

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// A Limit is what each key may do: Quota requests in Window, and Burst at once.
type Limit struct {
	Quota  int
	Window time.Duration
	Burst  int
}

func (l Limit) String() string {
	return fmt.Sprintf("%d in %v, %d at once", l.Quota, l.Window, l.Burst)
}

// A Workload is which keys come in which order, under which limit.
type Workload struct {
	Name string
	// Keys is how many there are, numbered from 0.
	Keys int
	// Capacity is how many keys a bounded subject has to have room for: more
	// than there are, so that it evicts none though it may be in parts that do
	// not fill evenly; or fewer if Miss.
	Capacity int
	// Limit is that of each key.
	Limit Limit
	// Denied tells that all keys have used up their limit.
	Denied bool
	// Miss tells that each key comes only when it has been evicted.
	Miss bool
	// Sequence is the order in which keys come, over and over.
	Sequence []uint32

	stored, asked string // the keys, one after the other, each of keyLength
}

// Workloads are the names of those that there are: one key; 1,000 keys, each as
// often as any other; 100,000 by Zipf's law with exponent 1.1; a million, each as
// often as any other; and keys that each evict another.
func Workloads() []string { return []string{"hot", "1k", "zipf100k", "1m", "miss"} }

const (
	keyLength = len("100.100.100.100")
	// maxKeys is how many of that form there are with digits 100 to 199.
	maxKeys = 100 * 100 * 100 * 100
	// steps is how long a sequence is, unless it has to be longer.
	steps = 1 << 20
	// kept is how many keys a bounded subject has room for where each misses.
	kept = 1 << 16
)

// NewWorkload returns the workload of a name, and the same each time. The limit
// of one that is allowed is 10⁹ an hour, which nobody reaches; of one that is
// denied it is 10 a day, or of a million keys 1 a day. Keys that miss are not
// denied: nobody could have used their limit up.
func NewWorkload(name string, denied bool) (*Workload, error) {
	w := &Workload{Name: name, Denied: denied, Limit: Limit{Quota: 1e9, Window: time.Hour, Burst: 1e9}}
	if denied {
		w.Limit = Limit{Quota: 10, Window: 24 * time.Hour, Burst: 10}
	}
	random := rand.New(rand.NewPCG(1, 2))
	switch name {
	case "hot":
		w.fill(1, 1, func(int) uint32 { return 0 })
	case "1k":
		w.fill(1_000, steps, func(int) uint32 { return random.Uint32N(1_000) })
	case "zipf100k":
		zipf := rand.NewZipf(random, 1.1, 1, 100_000-1)
		w.fill(100_000, steps, func(int) uint32 { return uint32(zipf.Uint64()) })
	case "1m":
		if denied {
			w.Limit.Quota, w.Limit.Burst = 1, 1 // 10 would take long to use up
		}
		w.fill(1_000_000, steps, func(int) uint32 { return random.Uint32N(1_000_000) })
	case "miss":
		if denied {
			return nil, fmt.Errorf("workload %q can not be denied", name)
		}
		w.Miss = true
		w.fill(16*kept, 16*kept, func(i int) uint32 { return uint32(i) })
		w.Capacity = kept
	default:
		return nil, fmt.Errorf("workload %q: want one of %s", name, strings.Join(Workloads(), ", "))
	}
	return w, nil
}

// ManyKeys returns a workload of so many keys, up to 10⁸, each of which comes
// as often as any other.
func ManyKeys(name string, keys int, limit Limit) (*Workload, error) {
	if keys < 1 || keys > maxKeys {
		return nil, fmt.Errorf("workload %q with %d keys: want 1 to %d", name, keys, maxKeys)
	}
	w := &Workload{Name: name, Limit: limit}
	random := rand.New(rand.NewPCG(1, 2))
	w.fill(keys, steps, func(int) uint32 { return random.Uint32N(uint32(keys)) })
	return w, nil
}

func (w *Workload) fill(keys, steps int, next func(i int) uint32) {
	w.Keys = keys
	w.Capacity = keys + keys/8 + 4096
	w.Sequence = make([]uint32, steps)
	for i := range w.Sequence {
		w.Sequence[i] = next(i)
	}
	w.stored, w.asked = texts(keys), texts(keys)
}

// texts returns so many keys, one after the other: addresses in an order in
// which neighbours are far apart.
func texts(keys int) string {
	all := make([]byte, 0, keys*keyLength)
	for i := range keys {
		n := int(int64(i) * 618_033 % maxKeys) // has no factor in common with it
		for at, part := range [...]int{n / 1_000_000, n / 10_000 % 100, n / 100 % 100, n % 100} {
			if at > 0 {
				all = append(all, '.')
			}
			all = append(all, '1', byte('0'+part/10), byte('0'+part%10))
		}
	}
	return string(all)
}

// Key returns the i-th key as a subject is given it at first: what it may keep.
func (w *Workload) Key(i int) string { return w.stored[i*keyLength : (i+1)*keyLength] }

// Asked returns the i-th key as it is asked for when it is measured: equal to
// Key(i), in another place. A map that is asked for the very string that it
// holds does not look at its bytes.
func (w *Workload) Asked(i int) string { return w.asked[i*keyLength : (i+1)*keyLength] }

// Title is the name with what is said besides.
func (w *Workload) Title() string { return title(w.Name, w.Denied) }

func title(name string, denied bool) string {
	if denied {
		return name + " denied"
	}
	return name
}
