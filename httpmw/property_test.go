package httpmw_test

import (
	"context"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/dunglas/httpsfv"
	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
	"pgregory.net/rapid"
)

var retryAfterText = regexp.MustCompile(`^[1-9][0-9]{0,9}$`)

// An item is a policy in RateLimit or RateLimit-Policy.
type item struct {
	name   string
	params map[string]int64
}

// items parses a field.
func items(t rapid.TB, lines []string) []item {
	t.Helper()
	if len(lines) == 0 {
		return nil
	}
	list, err := httpsfv.UnmarshalList(lines)
	if err != nil {
		t.Fatalf("%q: %v", lines, err)
	}
	again, err := httpsfv.Marshal(list)
	if err != nil || len(lines) != 1 || again != lines[0] {
		t.Fatalf("%q is written again as %q, %v", lines, again, err)
	}
	var out []item
	for _, member := range list {
		it := item{member.(httpsfv.Item).Value.(string), map[string]int64{}}
		params := member.(httpsfv.Item).Params
		for _, name := range params.Names() {
			v, _ := params.Get(name)
			it.params[name] = v.(int64)
		}
		out = append(out, it)
	}
	return out
}

// After Retry-After seconds the same request passes, and a second earlier it
// would not have. The fields on the way keep to what they say.
func TestCheck_06_07_08_09_property(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		quota := rapid.OneOf(rapid.IntRange(1, 10), rapid.IntRange(1, 1_000_000)).Draw(t, "quota")
		window := time.Duration(rapid.OneOf(rapid.IntRange(1, 10), rapid.IntRange(1, 86400)).Draw(t, "window")) * second
		burst := rapid.OneOf(rapid.Just(quota), rapid.IntRange(1, 2*quota)).Draw(t, "burst")
		costs := rapid.IntRange(1, burst)
		l := newPerKey(policy{name: "a", limit: bucket.Limit{Quota: quota, Window: window, Burst: burst}})
		cost := 0
		m, err := httpmw.New(l, httpmw.Config{
			Keys: map[string]httpmw.Key{"a": httpmw.ByIP()},
			Cost: func(r *http.Request) int { return cost },
		})
		if err != nil {
			t.Fatal(err)
		}
		h := m.Handler(http.NotFoundHandler())
		ask := func() *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), "GET", "/", nil))
			state := items(t, w.Header()["Ratelimit"])[0].params
			if r := state["r"]; r < 0 || r > int64(quota) {
				t.Fatalf("r=%d of quota %d", r, quota)
			}
			if state["t"] < 1 {
				t.Fatalf("t=%d", state["t"])
			}
			return w
		}
		for range rapid.IntRange(1, 20).Draw(t, "requests") {
			cost = costs.Draw(t, "cost")
			l.sleep(time.Duration(rapid.Int64Range(0, 2*int64(window)/int64(quota)).Draw(t, "pause")))
			w := ask()
			lines := w.Header()["Retry-After"]
			if w.Code == 404 {
				if len(lines) > 0 {
					t.Fatalf("Retry-After %q on a request that passed", lines)
				}
				continue
			}
			if len(lines) != 1 || !retryAfterText.MatchString(lines[0]) {
				t.Fatalf("Retry-After %q", lines)
			}
			retry, _ := strconv.Atoi(lines[0])
			if state := items(t, w.Header()["Ratelimit"])[0].params; int64(retry) < state["t"] {
				t.Fatalf("Retry-After %d is before the end of t=%d", retry, state["t"])
			}
			if retry > 1 {
				l.sleep(time.Duration(retry-1) * second)
				// What is left of a nanosecond counts as there.
				if l.sleep(-1); ask().Code != 429 {
					t.Fatalf("Retry-After %d, but %d s less a nanosecond are enough", retry, retry-1)
				}
				l.sleep(1)
				l.sleep(second)
			} else {
				l.sleep(second)
			}
			if w := ask(); w.Code != 404 {
				t.Fatalf("refused after Retry-After %d: %v", retry, w.Header())
			}
		}
	})
}

// Whatever a limiter decides, the fields are what the draft has, and say what
// exact arithmetic says.
func TestProperty_fields(t *testing.T) {
	t.Parallel()
	counts := rapid.OneOf(rapid.IntRange(1, 10), rapid.IntRange(1, 1<<31-1), rapid.Just(1<<31-1))
	durations := rapid.OneOf(rapid.Int64Range(1, 1e10), rapid.Int64Range(1, 366*86400*1e9), rapid.Just(int64(366*86400*1e9)))
	rapid.Check(t, func(t *rapid.T) {
		var names []string
		var ds []bucket.Decision
		allowed := true
		for i := range rapid.IntRange(1, 4).Draw(t, "policies") {
			limit, err := bucket.Limit{
				Quota: counts.Draw(t, "quota"), Window: time.Duration(durations.Draw(t, "window")), Burst: counts.Draw(t, "burst"),
			}.Normalize()
			if err != nil {
				t.Skip()
			}
			d := bucket.Decision{
				Allowed: true, Limit: limit,
				DryRun:     rapid.Bool().Draw(t, "dry"),
				Remaining:  rapid.OneOf(rapid.Just(0), rapid.IntRange(0, limit.Burst)).Draw(t, "remaining"),
				ResetAfter: time.Duration(rapid.Int64Range(0, int64(limit.Refill())).Draw(t, "reset")),
			}
			if rapid.Bool().Draw(t, "exceeded") {
				d.Allowed = d.DryRun
				d.RetryAfter = rapid.OneOf(
					rapid.Map(rapid.Int64Range(1, int64(limit.Refill())), func(ns int64) time.Duration { return time.Duration(ns) }),
					rapid.Just(bucket.Never)).Draw(t, "retry")
			}
			allowed = allowed && d.Allowed
			names, ds = append(names, "p"+strconv.Itoa(i)), append(ds, d)
		}
		l := scripted{names: names, decisions: ds, allowed: allowed}
		m, err := httpmw.New(l, httpmw.Config{Keys: byIP(l), Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		m.Handler(http.NotFoundHandler()).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if (w.Code == 404) != allowed {
			t.Fatalf("status %d of a request that is allowed: %v", w.Code, allowed)
		}

		// What they should be.
		var policies, states []item
		var retry int64
		never := false
		for i, d := range ds {
			if d.DryRun {
				continue
			}
			policies = append(policies, item{names[i], map[string]int64{
				"q": int64(d.Limit.Quota), "w": ceil(int64(d.Limit.Window), 1, 1, 1e9),
			}})
			state := map[string]int64{"r": int64(min(d.Remaining, d.Limit.Quota))}
			quota, window := int64(d.Limit.Quota), int64(d.Limit.Window)
			switch {
			case allowed && state["r"] > 0:
				state["t"] = ceil(state["r"], window, quota, 1e9)
			case allowed:
				// (ResetAfter − (Burst−1)·Window/Quota), to the nanosecond below
				refilled := new(big.Int).Mul(big.NewInt(int64(d.Limit.Burst-1)), big.NewInt(window))
				refilled.Quo(refilled, big.NewInt(quota))
				state["t"] = max(1, ceil(int64(d.ResetAfter)-refilled.Int64(), 1, 1, 1e9))
			case d.RetryAfter == bucket.Never:
				never = true
			case d.RetryAfter > 0:
				state["t"] = ceil(int64(d.RetryAfter), 1, 1, 1e9)
				retry = max(retry, state["t"])
			}
			if allowed || d.RetryAfter > 0 {
				states = append(states, item{names[i], state})
			}
		}
		wantRetry := ""
		if !never && retry > 0 {
			wantRetry = strconv.FormatInt(retry, 10)
		}
		if got := w.Header().Get("Retry-After"); got != wantRetry || got != "" && !retryAfterText.MatchString(got) {
			t.Fatalf("Retry-After %q, want %q", got, wantRetry)
		}
		if got := items(t, w.Header()["Ratelimit-Policy"]); !reflect.DeepEqual(got, policies) {
			t.Fatalf("RateLimit-Policy %v, want %v", got, policies)
		}
		if got := items(t, w.Header()["Ratelimit"]); !reflect.DeepEqual(got, states) {
			t.Fatalf("RateLimit %v, want %v", got, states)
		}
	})
}

// ceil returns a·b/(c·d), rounded up.
func ceil(a, b, c, d int64) int64 {
	num := new(big.Int).Mul(big.NewInt(a), big.NewInt(b))
	den := new(big.Int).Mul(big.NewInt(c), big.NewInt(d))
	q, r := new(big.Int).QuoRem(num, den, new(big.Int))
	if r.Sign() > 0 {
		q.Add(q, big.NewInt(1))
	}
	return q.Int64()
}
