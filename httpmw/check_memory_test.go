//go:build !race

// The race detector has pools drop things at random.

package httpmw_test

import (
	"encoding/binary"
	"encoding/hex"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

// However many keys a client makes up, the memory that they take is bounded, and
// a refused request takes a small fixed number of allocations.
func TestCheck_68_made_up_keys(t *testing.T) {
	const maxKeys = 1000
	n := 1_000_000
	if testing.Short() {
		n = 100_000
	}
	l, err := weir.New(weir.Config{Policies: []weir.Policy{
		{Name: "key", Limit: bucket.PerHour(1), Size: maxKeys},
		{Name: "all", Limit: bucket.PerHour(1)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	passed := 0
	m, err := httpmw.New(l, httpmw.Config{
		Keys:   map[string]httpmw.Key{"key": apiKey, "all": httpmw.Global()},
		Cost:   func(*http.Request) int { return 1 },
		Costs:  map[string]func(*http.Request) int{"all": func(r *http.Request) int { return len(r.Header["X-Refuse"]) }},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	h := m.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { passed++ }))
	random := rand.New(rand.NewPCG(1, 2))
	w, r := &sink{h: http.Header{}}, httptest.NewRequest("GET", "/", nil)
	key := make([]byte, 16)
	serve := func() {
		binary.LittleEndian.PutUint64(key, random.Uint64())
		binary.LittleEndian.PutUint64(key[8:], random.Uint64())
		r.Header["X-Api-Key"] = []string{hex.EncodeToString(key)}
		clear(w.h)
		h.ServeHTTP(w, r)
	}
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	for range 20 * maxKeys { // what is bounded is full
		serve()
	}
	before := heap()
	for range n {
		serve()
	}
	if grown := int64(heap()) - int64(before); grown > 4<<20 {
		t.Errorf("%d keys more, and the heap has grown by %d bytes", n, grown)
	}
	if passed != n+20*maxKeys {
		t.Errorf("%d of %d requests with a new key passed", passed, n+20*maxKeys)
	}
	r.Header["X-Refuse"] = []string{"1"}
	serve() // takes the one token that all have
	passed = 0
	if got := testing.AllocsPerRun(2000, serve); got > 8 { // 3 of them of this test
		t.Errorf("%v allocations for each refused request, want at most 8", got)
	}
	if passed != 0 {
		t.Errorf("%d requests passed that were to be refused", passed)
	}
}
