package doctor_test

import (
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
	"github.com/seed-0c889b51/weir/internal/doctor"
)

var hello = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") })

// config is that of an exam of http://127.0.0.1/things.
func config(t testing.TB) doctor.Config {
	t.Helper()
	u, err := url.Parse("http://127.0.0.1/things")
	if err != nil {
		t.Fatal(err)
	}
	return doctor.Config{URL: u, Addr: netip.MustParseAddrPort("127.0.0.1:80"), Timeout: 10 * time.Minute}
}

// middleware returns httpmw around a handler.
func middleware(t testing.TB, limit bucket.Limit, cfg httpmw.Config, inner http.Handler) http.Handler {
	t.Helper()
	if cfg.Keys == nil {
		cfg.Keys = map[string]httpmw.Key{"ip": httpmw.ByIP()}
	}
	cfg.Logger = slog.New(slog.DiscardHandler)
	limiter, err := weir.Open("", weir.Policy{Name: "ip", Limit: limit})
	if err != nil {
		t.Fatal(err)
	}
	mw, err := httpmw.New(limiter, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return mw.Handler(inner)
}

// A fixed is a limiter as many have written one: a fixed window for each key,
// from its first request. What is wrong with it is in its fields.
type fixed struct {
	n       int
	window  time.Duration
	key     func(*http.Request) string
	free    func(*http.Request) bool        // not limited; nil: none
	retry   func(left time.Duration) string // nil: as it should be
	quiet   bool                            // no field but those of a refusal
	sticky  bool                            // a refused request begins the window anew
	aligned bool                            // windows begin by the clock
	inner   http.Handler

	windows map[string]*window
}

type window struct {
	start time.Time
	used  int
}

func byAddr(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		panic(err)
	}
	return host
}

func (f *fixed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	inner := f.inner
	if inner == nil {
		inner = hello
	}
	if f.free != nil && f.free(r) {
		inner.ServeHTTP(w, r)
		return
	}
	if f.windows == nil {
		f.windows = map[string]*window{}
	}
	key := f.key(r)
	u := f.windows[key]
	if now := time.Now(); u == nil || now.Sub(u.start) >= f.window {
		u = &window{start: now}
		if f.aligned {
			u.start = now.Truncate(f.window)
		}
		f.windows[key] = u
	}
	if !f.quiet {
		w.Header().Set("RateLimit-Policy", fmt.Sprintf(`"x";q=%d;w=%d`, f.n, int(f.window/time.Second)))
		w.Header().Set("RateLimit", fmt.Sprintf(`"x";r=%d;t=1`, max(0, f.n-u.used-1)))
	}
	if u.used++; u.used <= f.n {
		inner.ServeHTTP(w, r)
		return
	}
	if f.sticky {
		u.start = time.Now()
	}
	left := f.window - time.Since(u.start)
	retry := strconv.Itoa(int((left + time.Second - 1) / time.Second))
	if f.retry != nil {
		retry = f.retry(left)
	}
	w.Header().Set("Retry-After", retry)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusTooManyRequests)
}

// of returns the names of the checks with an outcome.
func of(r *doctor.Report, outcome doctor.Outcome) []string {
	var names []string
	for _, c := range r.Checks {
		if c.Outcome == outcome {
			names = append(names, c.Name)
		}
	}
	return names
}

// reason returns what a report says of a check.
func reason(r *doctor.Report, name string) string {
	for _, c := range r.Checks {
		if c.Name == name {
			return c.Reason
		}
	}
	return ""
}

// expect holds what has failed and what has not been tested.
func expect(t *testing.T, r *doctor.Report, failed, untested string) {
	t.Helper()
	var table strings.Builder
	if err := r.Table(&table); err != nil {
		t.Fatal(err)
	}
	if got := of(r, doctor.Fail); !slices.Equal(got, strings.Fields(failed)) {
		t.Errorf("failed: %q, want %q\n%s", got, failed, &table)
	}
	if got := of(r, doctor.NotTested); !slices.Equal(got, strings.Fields(untested)) {
		t.Errorf("not tested: %q, want %q\n%s", got, untested, &table)
	}
	for _, c := range r.Checks {
		if c.Reason == "" || c.What == "" || (c.Cure != "") != (c.Outcome == doctor.Fail) {
			t.Errorf("%s: %+v: want a reason, and a cure if it fails", c.Name, c)
		}
	}
}

// quiet returns a logger for what is meant to go wrong.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }
