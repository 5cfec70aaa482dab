package admin

import (
	"container/heap"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/internal/adminapi"
)

const (
	defaultKeys = 50
	maxKeys     = 1000
)

// getKeys answers with the keys that have the least left, of one policy or, if
// none is named, of each.
func (s *Server) getKeys(w http.ResponseWriter, r *http.Request) {
	n := defaultKeys
	if text := r.URL.Query().Get("n"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 1 || n > maxKeys {
			problem(w, http.StatusBadRequest, fmt.Sprintf("parameter n: want a whole number from 1 to %d", maxKeys))
			return
		}
	}
	src := s.cfg.Source()
	policies := src.Limiter.Names()
	if name := r.URL.Query().Get("policy"); name != "" {
		if !slices.Contains(policies, name) {
			problem(w, http.StatusNotFound, fmt.Sprintf("there is no policy %.64q: want one of %q", name, policies))
			return
		}
		policies = []string{name}
	}
	s.scan.Lock() // a million keys take a while, and one who asks is enough
	defer s.scan.Unlock()
	var few fewest
	for _, policy := range policies {
		keys, err := src.Limiter.Keys(policy)
		if err != nil { // it was there just now
			problem(w, http.StatusNotFound, err.Error())
			return
		}
		for key, d := range keys {
			if r.Context().Err() != nil {
				return
			}
			few.add(left{policy, key, d}, n)
		}
	}
	list := make([]adminapi.Key, 0, len(few))
	slices.SortFunc(few, func(a, b left) int { return a.compare(b) })
	for _, l := range few {
		list = append(list, adminapi.Key{
			Key: src.Limits.KeyText(l.key), Policy: l.policy, Remaining: l.decision.Remaining, Burst: l.decision.Limit.Burst,
			RetryAfterMs: millis(l.decision.RetryAfter), ResetAfterMs: millis(l.decision.ResetAfter),
		})
	}
	answer(w, list)
}

// A left is what a key has left.
type left struct {
	policy, key string
	decision    bucket.Decision
}

// compare orders those first that have the least left: of their burst, and then
// those that wait the longest.
func (l left) compare(o left) int {
	a := uint64(max(0, l.decision.Remaining)) * uint64(o.decision.Limit.Burst)
	b := uint64(max(0, o.decision.Remaining)) * uint64(l.decision.Limit.Burst)
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	case l.decision.ResetAfter > o.decision.ResetAfter:
		return -1
	case l.decision.ResetAfter < o.decision.ResetAfter:
		return 1
	}
	return 0
}

// fewest is a heap of those with the least left, the most of them on top.
type fewest []left

func (f fewest) Len() int           { return len(f) }
func (f fewest) Less(i, j int) bool { return f[i].compare(f[j]) > 0 }
func (f fewest) Swap(i, j int)      { f[i], f[j] = f[j], f[i] }
func (f *fewest) Push(x any)        { *f = append(*f, x.(left)) }
func (f *fewest) Pop() any          { panic("fewest only grows") }

// add keeps l if it is one of the n with the least left.
func (f *fewest) add(l left, n int) {
	switch {
	case len(*f) < n:
		heap.Push(f, l)
	case l.compare((*f)[0]) < 0:
		(*f)[0] = l
		heap.Fix(f, 0)
	}
}

// postReset makes the bucket of a key full, which is named by its text.
func (s *Server) postReset(w http.ResponseWriter, r *http.Request) {
	var of adminapi.Reset
	if !read(w, r, &of) {
		return
	}
	src := s.cfg.Source()
	keys, err := src.Limiter.Keys(of.Policy)
	if err != nil {
		problem(w, http.StatusNotFound, fmt.Sprintf("there is no policy %.64q: want one of %q", of.Policy, src.Limiter.Names()))
		return
	}
	s.scan.Lock()
	defer s.scan.Unlock()
	var found []string
	for key := range keys {
		if src.Limits.KeyText(key) == of.Key {
			found = append(found, key)
		}
	}
	switch {
	case len(found) == 0:
		problem(w, http.StatusNotFound, "there is no such key in memory under the policy: it has used nothing of late, or it is spelled in another way (see the list of keys)")
		return
	case len(found) > 1:
		problem(w, http.StatusConflict, fmt.Sprintf("%d keys have this text: none was reset", len(found)))
		return
	}
	if err := src.Limiter.Reset(of.Policy, found[0]); err != nil {
		problem(w, http.StatusNotFound, err.Error())
		return
	}
	s.log.Info("a key was reset by the owner", "limit", of.Policy, "key", s.cfg.Watch.redact(found[0]))
	answer(w, of)
}
