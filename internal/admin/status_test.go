package admin_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
	"github.com/seed-0c889b51/weir/internal/admin"
	"github.com/seed-0c889b51/weir/internal/adminapi"
)

func TestStatus(t *testing.T) {
	t.Parallel()
	s := newStack(t, func(limits *weir.Config, rules *httpmw.Config) {
		limits.Path = filepath.Join(t.TempDir(), "weir.db")
		limits.Interval = time.Hour
		limits.Policies[1].DryRun = true
		rules.Routes = map[string][]string{"user": {"/api/"}}
	})
	s.source.State, s.source.Upstreams = "weir.db", []string{"http://127.0.0.1:3000"}
	s.source.Policies = []admin.Policy{{Name: "ip", Key: "ip"}, {Name: "user", Key: "header:X-Api-Key", Scope: "/api/", Shadow: &adminapi.Shadow{Limit: "50/min", WouldDeny: 7}}}
	for range 7 {
		s.ask(from("203.0.113.7"))
	}
	for range 3 {
		s.ask(from("203.0.113.8"), func(r *http.Request) { r.URL.Path = "/api/x" })
	}
	base := s.serve(t)
	st := get[adminapi.Status](t, base+adminapi.PathStatus)
	if st.Version != "v1.2.3" || st.Listen != "http://127.0.0.1:8080" || st.UptimeMs < 0 || len(st.Upstreams) != 1 || st.State.Path != "weir.db" ||
		st.State.LastSaved != nil || st.State.Error != "" || st.Warnings == nil || st.Health == nil {
		t.Errorf("%+v", st)
	}
	ip := adminapi.Policy{Name: "ip", Limit: "5/min", Key: "ip", Asked: 10, Allowed: 8, Denied: 2, KeysInMemory: 2, PeakUse: 1}
	if st.Policies[0] != ip {
		t.Errorf("%+v, want %+v", st.Policies[0], ip)
	}
	user := st.Policies[1]
	if user.Key != "header:X-Api-Key" || user.Scope != "/api/" || !user.DryRun || user.Asked != 3 || user.Missing != 3 || user.Shadow == nil ||
		*user.Shadow != (adminapi.Shadow{Limit: "50/min", WouldDeny: 7}) || user.PeakUse > 0.01 {
		t.Errorf("%+v", user)
	}
	if err := s.limiter.Sync(); err != nil {
		t.Fatal(err)
	}
	if st := get[adminapi.Status](t, base+adminapi.PathStatus); st.State.LastSaved == nil || time.Since(*st.State.LastSaved) > time.Minute {
		t.Errorf("after a snapshot: %+v", st.State)
	}
	body := text(t, send(t, "GET", base+adminapi.PathStatus, ""))
	if strings.Contains(body, "203.0.113") {
		t.Errorf("it names a client: %s", body)
	}
}

// Before a denial the peak is what the key that used the most has used.
func TestPeakUse(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	for i, addr := range []string{"203.0.113.1", "203.0.113.2", "203.0.113.3"} {
		for range i + 2 {
			s.ask(from(addr))
		}
	}
	base := s.serve(t)
	for range 500 { // until the server has looked for the first time
		st := get[adminapi.Status](t, base+adminapi.PathStatus)
		if peak := st.Policies[0].PeakUse; peak == 0.8 {
			return
		} else if peak != 0 {
			t.Fatalf("peak %v, want 0.8: 4 of 5", peak)
		}
	}
	t.Error("there is no peak")
}

// Who comes near a limit has reached it.
func TestHealthOfALimitThatIsNearlyReached(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	manyClients(s, 1000)
	for range 3 {
		s.ask(from("203.0.113.7"))
	}
	s.source.Started = time.Now().Add(-25 * time.Hour)
	base := s.serve(t)
	for range 500 {
		st := get[adminapi.Status](t, base+adminapi.PathStatus)
		if st.Policies[0].PeakUse > 0 {
			if len(st.Health) != 1 || !strings.HasPrefix(st.Health[0].Text, "user: ") {
				t.Errorf("%+v, want only that of the other limit", st.Health)
			}
			return
		}
	}
	t.Error("there is no peak")
}

func TestProbes(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	why := make(chan error, 3)
	base := s.serve(t, func(cfg *admin.Config) { cfg.Ready = func() error { return <-why } })
	why <- errors.New("it does not serve yet")
	why <- nil
	why <- errors.New("it is stopping")
	for _, want := range []struct {
		status int
		body   string
	}{{503, "not ready: it does not serve yet\n"}, {200, "ready\n"}, {503, "not ready: it is stopping\n"}} {
		if res := send(t, "GET", base+"/readyz", ""); res.StatusCode != want.status || text(t, res) != want.body {
			t.Errorf("%s, want %+v", res.Status, want)
		}
	}
	if res := send(t, "GET", base+"/healthz", ""); res.StatusCode != 200 || text(t, res) != "ok\n" {
		t.Errorf("healthz: %s", res.Status)
	}
	// The name that a client gives itself changes nothing.
	if res := send(t, "GET", base+adminapi.PathKeys, "", field("User-Agent", "kube-probe/1.30")); res.StatusCode != 401 {
		t.Errorf("keys for a probe: %s", res.Status)
	}
	for _, path := range []string{"/api/v1/none", "/api/", "/none", "/healthz/x"} {
		if res := send(t, "GET", base+path, ""); res.StatusCode != 404 {
			t.Errorf("%s: %s", path, res.Status)
		}
	}
}

// The page is what answers for all other paths.
func TestPage(t *testing.T) {
	t.Parallel()
	base := newStack(t).serve(t, func(cfg *admin.Config) {
		cfg.Page = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("page " + r.URL.Path)) })
	})
	for path, want := range map[string]string{"/": "page /", "/app.js": "page /app.js"} {
		if got := text(t, send(t, "GET", base+path, "")); got != want {
			t.Errorf("%s: %q", path, got)
		}
	}
	if got := text(t, send(t, "GET", base+"/api/v1/none", "")); strings.Contains(got, "page") {
		t.Errorf("%q", got)
	}
}

// Events are statuses, and a few may watch.
func TestEvents(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	base := s.serve(t)
	watch := func() *http.Response {
		ctx, cancel := context.WithCancel(context.Background())
		t.Cleanup(cancel)
		r, err := http.NewRequestWithContext(ctx, "GET", base+adminapi.PathEvents, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { res.Body.Close() })
		return res
	}
	first := watch()
	if first.StatusCode != 200 || first.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%s: %v", first.Status, first.Header)
	}
	in := bufio.NewReader(first.Body)
	for i := range 2 {
		for _, want := range []string{"event: status\n", "data: {", "\n"} {
			got, err := in.ReadString('\n')
			if err != nil || !strings.HasPrefix(got, want) {
				t.Fatalf("event %d: %q, %v", i, got, err)
			}
			if data, ok := strings.CutPrefix(got, "data: "); ok {
				var st adminapi.Status
				if err := json.Unmarshal([]byte(data), &st); err != nil || st.Policies[0].Asked != uint64(i) {
					t.Errorf("event %d: %v, %s", i, err, data)
				}
			}
		}
		s.ask()
	}
	for range 7 {
		if res := watch(); res.StatusCode != 200 {
			t.Fatalf("%s", res.Status)
		}
	}
	if res := watch(); res.StatusCode != 503 || res.Header.Get("Retry-After") == "" {
		t.Errorf("the ninth: %s", res.Status)
	}
	first.Body.Close()
	for range 100 {
		if watch().StatusCode == 200 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Error("who has gone still has a place")
}

// ids returns what is not as it should be.
func ids(st adminapi.Status) []string {
	var list []string
	for _, h := range st.Health {
		list = append(list, h.ID)
	}
	return list
}

// Each thing that can be wrong is found, and said with a cure.
func TestHealth(t *testing.T) {
	t.Parallel()
	long := func(s *stack) { s.source.Started = time.Now().Add(-25 * time.Hour) }
	for _, row := range []struct {
		name  string
		edit  func(*weir.Config, *httpmw.Config)
		do    func(t *testing.T, s *stack)
		want  []string
		level string
	}{
		{"all is well", nil, func(_ *testing.T, s *stack) { s.ask(from("203.0.113.7")) }, nil, ""},
		{"a limit is never consulted", func(_ *weir.Config, rules *httpmw.Config) { rules.Routes = map[string][]string{"user": {"/none"}} },
			func(_ *testing.T, s *stack) { manyClients(s, 1000) }, []string{"never-consulted"}, adminapi.LevelWarning},
		{"a limit is never consulted, and the middleware has warned of it", func(_ *weir.Config, rules *httpmw.Config) { rules.Routes = map[string][]string{"user": {"/none"}} },
			func(_ *testing.T, s *stack) { manyClients(s, 12_000) }, []string{"never-consulted"}, adminapi.LevelWarning},
		{"not yet enough requests to say so", func(_ *weir.Config, rules *httpmw.Config) { rules.Routes = map[string][]string{"user": {"/none"}} },
			func(_ *testing.T, s *stack) { manyClients(s, 999) }, nil, ""},
		{"a limit is never reached", nil, func(_ *testing.T, s *stack) { manyClients(s, 1000); long(s) }, []string{"never-reached", "never-reached"}, adminapi.LevelInfo},
		{"a limit was reached", nil, func(_ *testing.T, s *stack) {
			manyClients(s, 1000)
			long(s)
			for range 6 {
				s.ask(from("203.0.113.7"))
			}
		}, []string{"never-reached"}, adminapi.LevelInfo},
		{"not up for long enough to say so", nil, func(_ *testing.T, s *stack) { manyClients(s, 1000) }, nil, ""},
		{"one key has most of the requests", nil, func(_ *testing.T, s *stack) {
			for range 2 * 1024 * 16 {
				s.ask(from("203.0.113.7"))
			}
		}, []string{"one-key", "one-key"}, adminapi.LevelWarning},
		{"a private address as the client", nil, func(_ *testing.T, s *stack) {
			for range 100 {
				s.ask(from("10.0.0.1"))
			}
		}, []string{"private-client"}, adminapi.LevelWarning},
		{"a proxy that is not trusted", nil, func(_ *testing.T, s *stack) { s.ask(from("203.0.113.7"), field("X-Forwarded-For", "198.51.100.1")) },
			[]string{"untrusted-proxy"}, adminapi.LevelWarning},
		{"our own proxy as the client", func(_ *weir.Config, rules *httpmw.Config) { rules.IP = trusting(t) }, func(_ *testing.T, s *stack) {
			s.ask(from("10.0.0.1"), field("X-Forwarded-For", "unknown"))
		}, []string{"own-proxy-as-client"}, adminapi.LevelWarning},
		{"the state is not used", nil, func(_ *testing.T, s *stack) { s.source.StateError = errors.New("it is in use") }, []string{"state-not-used"}, adminapi.LevelError},
		{"the configuration was not loaded", nil, func(_ *testing.T, s *stack) { s.source.Reloaded.Err = errors.New("line 3") }, []string{"reload-failed"}, adminapi.LevelError},
		{"all are dry runs", func(limits *weir.Config, _ *httpmw.Config) {
			limits.Policies[0].DryRun, limits.Policies[1].DryRun = true, true
		},
			func(*testing.T, *stack) {}, []string{"nothing-enforced"}, adminapi.LevelInfo},
		{"debts are forgotten", func(limits *weir.Config, _ *httpmw.Config) { limits.Policies[0].Size, limits.Policies[0].Debts = 64, 8 },
			func(_ *testing.T, s *stack) { manyClients(s, 5000) }, []string{"debts-forgotten"}, adminapi.LevelWarning},
		{"requests cannot be counted", func(_ *weir.Config, rules *httpmw.Config) {
			rules.Keys["user"] = httpmw.Func(func(*http.Request) string { panic("no user") })
		}, func(_ *testing.T, s *stack) { s.ask() }, []string{"not-counted"}, adminapi.LevelError},
		{"a request can never be allowed", func(_ *weir.Config, rules *httpmw.Config) { rules.Cost = func(*http.Request) int { return 6 } },
			func(_ *testing.T, s *stack) { s.ask() }, []string{"cost-over-burst"}, adminapi.LevelError},
		{"a limit of a tier is not valid", func(limits *weir.Config, _ *httpmw.Config) {
			limits.Policies[0].LimitFor = func(string) bucket.Limit { return bucket.Limit{Quota: -1} }
		}, func(_ *testing.T, s *stack) { s.ask() }, []string{"tiers-rejected"}, adminapi.LevelError},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var edits []func(*weir.Config, *httpmw.Config)
			if row.edit != nil {
				edits = append(edits, row.edit)
			}
			s := newStack(t, edits...)
			row.do(t, s)
			st := get[adminapi.Status](t, s.serve(t)+adminapi.PathStatus)
			if got := ids(st); !slices.Equal(got, row.want) {
				t.Errorf("%q, want %q", got, row.want)
			}
			for _, h := range st.Health {
				if h.Level != row.level || h.Text == "" || h.Cure == "" || strings.Contains(h.Cure, "Config.") {
					t.Errorf("%+v, want level %s, a text, and a cure in the words of the command line", h, row.level)
				}
			}
			for _, w := range st.Warnings {
				if w.ID == "" || w.Cure == "" || time.Since(w.At) > time.Minute {
					t.Errorf("%+v", w)
				}
			}
		})
	}
}

// trusting trusts 10.0.0.0/8.
func trusting(t testing.TB) httpmw.ClientIP {
	t.Helper()
	ip, err := httpmw.NewClientIP(64, prefix("10.0.0.0/8"))
	if err != nil {
		t.Fatal(err)
	}
	return ip
}

// manyClients sends requests of as many clients.
func manyClients(s *stack, n int) {
	for i := range n {
		s.ask(func(r *http.Request) { r.RemoteAddr = clientAddr(i) })
	}
}

// A save that failed is seen, and the next that succeeds makes up for it.
func TestHealthOfTheState(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state", "weir.db")
	s := newStack(t, func(limits *weir.Config, _ *httpmw.Config) { limits.Path, limits.Interval = path, time.Hour })
	base := s.serve(t)
	s.ask(from("203.0.113.7"))
	if err := os.RemoveAll(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	if err := s.limiter.Sync(); err == nil {
		t.Skip("this system saves to a file that is gone")
	}
	st := get[adminapi.Status](t, base+adminapi.PathStatus)
	if !slices.Equal(ids(st), []string{"save-failed"}) || st.Health[0].Level != adminapi.LevelError || st.State.Error == "" {
		t.Errorf("%+v, %+v", st.Health, st.State)
	}
}
