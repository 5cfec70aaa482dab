package admin

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/seed-0c889b51/weir/httpmw"
)

// FieldID is the header field of a refusal with the id that its reason can be
// asked for by.
const FieldID = "X-Weir-Id"

const (
	kept      = 4096 // denials
	maxMethod = 16   // bytes of what a client chooses
	maxPath   = 256
)

// A WatchConfig says what a [Watch] does.
type WatchConfig struct {
	// Logger is told when a key is over its limit, and when it no longer is.
	Logger *slog.Logger
	// Names has the log say which key that is, as this function calls it. Nil
	// has it say a hash, which is another in each run.
	Names func(key string) string
	// IDs has refusals carry an id, by which [Watch.Find] finds them.
	IDs bool
}

// A Watch sees who is denied: it keeps the last few thousand denials, and logs
// when a key begins to be denied and when it ceases to be. [NewWatch] makes
// one. It is safe for concurrent use.
type Watch struct {
	ids     bool
	changes changes

	mu   sync.Mutex
	ring []Denied
	next int
	at   map[uint64]int // in ring, by id
}

// A Denied is one request that was denied.
type Denied struct {
	ID           string
	At           time.Time
	Method, Path string // without its query; cut short
	httpmw.Denial
	id uint64
}

// NewWatch returns a Watch that has seen nothing.
func NewWatch(cfg WatchConfig) *Watch {
	w := &Watch{ids: cfg.IDs, at: map[uint64]int{}}
	w.changes.init(cfg)
	return w
}

// Denied notes a denial: it is what Config.Denied of package httpmw is to be.
func (w *Watch) Denied(rw http.ResponseWriter, r *http.Request, why httpmw.Denial) {
	now := time.Now()
	w.changes.denied(now, why)
	if !w.ids {
		return
	}
	d := Denied{At: now, Method: cut(r.Method, maxMethod), Path: cut(r.URL.Path, maxPath), Denial: why}
	w.mu.Lock()
	for d.id = rand.Uint64(); ; d.id = rand.Uint64() {
		if _, taken := w.at[d.id]; !taken {
			break
		}
	}
	if len(w.ring) < kept {
		w.ring = append(w.ring, d)
	} else {
		delete(w.at, w.ring[w.next].id)
		w.ring[w.next] = d
	}
	w.at[d.id] = w.next
	w.next = (w.next + 1) % kept
	w.mu.Unlock()
	rw.Header()[FieldID] = []string{idText(d.id)}
}

// Find returns the denial with an id, false if it is not known, or is not any
// more.
func (w *Watch) Find(id string) (Denied, bool) {
	n, err := strconv.ParseUint(id, 16, 64)
	if err != nil || idText(n) != id {
		return Denied{}, false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	i, ok := w.at[n]
	if !ok {
		return Denied{}, false
	}
	d := w.ring[i]
	d.ID = id
	return d, true
}

// Run looks at the keys that are denied, once a second, until ctx ends.
func (w *Watch) Run(ctx context.Context) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			w.changes.look(now)
		}
	}
}

// redact returns what a key is called in the log.
func (w *Watch) redact(key string) string { return w.changes.name(key) }

// idText returns 16 hexadecimal digits.
func idText(id uint64) string {
	const digits = "0123456789abcdef"
	var b [16]byte
	for i := range b {
		b[i] = digits[id>>(60-4*i)&15]
	}
	return string(b[:])
}

// cut keeps a text short.
func cut(s string, most int) string {
	if len(s) > most {
		return s[:most]
	}
	return s
}
