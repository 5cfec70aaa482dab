package admin_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/httpmw"
	"github.com/seed-0c889b51/weir/internal/admin"
)

// scrape returns the metrics as text.
func scrape(t testing.TB, base string) string {
	t.Helper()
	res := send(t, "GET", base+"/metrics", "")
	if res.StatusCode != 200 {
		t.Fatalf("%s", res.Status)
	}
	return text(t, res)
}

// series returns those of weir, with their values.
func series(t testing.TB, base string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for line := range strings.Lines(scrape(t, base)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && strings.HasPrefix(name, "weir_") {
			all[name] = value
		}
	}
	return all
}

// counted has a limit on requests at once, and counts connections.
func counted(t testing.TB) *stack {
	t.Helper()
	s := newStack(t, func(limits *weir.Config, rules *httpmw.Config) {
		limits.Policies[1].DryRun = true
		limits.Policies[0].Size, limits.Policies[0].Debts = 4096, 4096
		limits.Policies[1].Size, limits.Policies[1].Debts = 4096, 4096
		rules.InFlight = []httpmw.InFlight{{Name: "busy", Key: httpmw.Global(), Max: 100}}
		rules.ExemptRoutes = []string{"GET /up"}
	})
	s.source.Policies[0].Size = 4096
	s.source.Connections = func() admin.Connections { return admin.Connections{Open: 3, OverAll: 1, OverClient: 2, NotProxied: 4} }
	return s
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	s := counted(t)
	base := s.serve(t)
	for range 7 {
		s.ask(from("203.0.113.7"))
	}
	for range 3 {
		s.ask(func(r *http.Request) { r.URL.Path = "/up" })
	}
	got := series(t, base)
	for name, want := range map[string]string{
		`weir_requests_total{decision="allowed",limit="ip"}`:      "5",
		`weir_requests_total{decision="denied",limit="ip"}`:       "2",
		`weir_requests_total{decision="allowed",limit="user"}`:    "5",
		`weir_requests_total{decision="would_deny",limit="user"}`: "0",
		`weir_requests_total{decision="allowed",limit="busy"}`:    "5",
		`weir_requests_total{decision="exempt",limit=""}`:         "3",
		`weir_requests_total{decision="error",limit=""}`:          "0",
		`weir_requests_without_identity_total{limit="user"}`:      "7",
		`weir_in_flight{limit="busy"}`:                            "0",
		`weir_keys{limit="ip"}`:                                   "1",
		`weir_keys_max{limit="ip"}`:                               "4096",
		`weir_keys_max{limit="user"}`:                             "65536",
		`weir_peak_use_ratio{limit="ip"}`:                         "1",
		`weir_evictions_total{kind="full",limit="ip"}`:            "0",
		`weir_evictions_total{kind="overflow",limit="ip"}`:        "0",
		`weir_forgiven_tokens_total{limit="ip"}`:                  "0",
		`weir_store_errors_total{op="open"}`:                      "0",
		`weir_store_errors_total{op="save"}`:                      "0",
		`weir_store_last_flush_timestamp_seconds`:                 "0",
		`weir_config_last_reload_successful`:                      "1",
		`weir_health_problems{level="error"}`:                     "0",
		`weir_connections`:                                        "3",
		`weir_connections_refused_total{reason="not_proxied"}`:    "4",
		`weir_upstream_duration_seconds_count{class="5xx"}`:       "0",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %s", name, got[name], want)
		}
	}
	if _, ok := got[`weir_requests_total{decision="denied",limit="user"}`]; ok {
		t.Error("a dry run has denied something")
	}
	build := regexp.MustCompile(`(?m)^weir_build_info\{goversion="go[^"]+",version="v1\.2\.3"\} 1$`)
	if !build.MatchString(scrape(t, base)) {
		t.Error("there is no weir_build_info")
	}
	for _, other := range []string{"go_goroutines ", "process_start_time_seconds "} {
		if !strings.Contains(scrape(t, base), "\n"+other) {
			t.Errorf("there is no %s", other)
		}
	}
}

// What is lost by evictions is counted, in tokens.
func TestMetricsOfEvictions(t *testing.T) {
	t.Parallel()
	s := newStack(t, func(limits *weir.Config, _ *httpmw.Config) { limits.Policies[0].Size, limits.Policies[0].Debts = 64, 8 })
	base := s.serve(t)
	manyClients(s, 5000)
	got := series(t, base)
	for _, kind := range []string{"cheap", "overflow"} {
		if n := got[`weir_evictions_total{kind="`+kind+`",limit="ip"}`]; n == "0" || n == "" {
			t.Errorf("%s: %q", kind, n)
		}
	}
	if n := got[`weir_forgiven_tokens_total{limit="ip"}`]; n == "0" || n == "" {
		t.Errorf("forgiven: %q", n)
	}
}

// The names, the types and the help are as they should be.
func TestMetricsAreClean(t *testing.T) {
	t.Parallel()
	s := counted(t)
	body := scrape(t, s.serve(t))
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.New(strings.NewReader(body)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	labels := map[string][]string{
		"limit": {"", "ip", "user", "busy"}, "decision": {"allowed", "denied", "would_deny", "exempt", "error"},
		"kind": {"full", "cheap", "overflow"}, "op": {"open", "save"}, "class": {"none", "1xx", "2xx", "3xx", "4xx", "5xx"},
		"level": {"error", "warning", "info"}, "reason": {"over_all", "over_client", "not_proxied"},
	}
	for name, family := range families {
		if !strings.HasPrefix(name, "weir_") || name == "weir_build_info" {
			continue
		}
		for _, m := range family.GetMetric() {
			for _, l := range m.GetLabel() {
				if !slices.Contains(labels[l.GetName()], l.GetValue()) {
					t.Errorf("%s has %s=%q, which is of no closed set", name, l.GetName(), l.GetValue())
				}
			}
		}
	}
}

// However many clients, methods and paths there are, there are no more series,
// and none has anything of them.
func TestMetricsDoNotGrow(t *testing.T) {
	t.Parallel()
	keys := 1_000_000
	if testing.Short() {
		keys = 20_000
	}
	s := counted(t)
	base := s.serve(t, func(cfg *admin.Config) {
		s.front = cfg.Timings.Around(s.front)
	})
	s.ask()
	before := series(t, base)
	r := httpRequest()
	w := nowhere{}
	for i := range keys {
		r.RemoteAddr = clientAddr(i)
		r.Method = fmt.Sprintf("METHOD%d", i%1000)
		r.URL.Path = fmt.Sprintf("/path/%d", i%1000)
		r.Header["X-Api-Key"] = []string{fmt.Sprintf("secret-%d", i)}
		clear(w)
		s.front.ServeHTTP(w, r)
	}
	if n := s.limiter.Stats().Policies[0]; n.Allowed < uint64(keys) {
		t.Fatalf("%d requests were counted, want %d of as many clients", n.Allowed, keys)
	}
	after := series(t, base)
	if len(before) != len(after) || len(before) < 50 {
		t.Errorf("%d series before, %d after", len(before), len(after))
	}
	for name := range after {
		if _, ok := before[name]; !ok {
			t.Errorf("%s is new", name)
		}
	}
	if body := scrape(t, base); strings.Contains(body, "METHOD") || strings.Contains(body, "/path/") || strings.Contains(body, "secret") || strings.Contains(body, "198.") {
		t.Error("something of a request is in the metrics")
	}
	if keys := s.limiter.Stats().Policies[0].Keys; keys > 8192 {
		t.Errorf("%d keys are in memory", keys)
	}
}

// nowhere is a response that nobody reads.
type nowhere http.Header

func (n nowhere) Header() http.Header         { return http.Header(n) }
func (n nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (n nowhere) WriteHeader(int)             {}

func httpRequest() *http.Request {
	r, _ := http.NewRequest("GET", "http://weir.example/", nil)
	return r
}

// A Grafana dashboard asks only for metrics and labels that there are.
func TestGrafanaDashboard(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join("..", "..", "examples", "grafana.json"))
	if err != nil {
		t.Fatal(err)
	}
	type target struct{ Expr, RefID string }
	var dashboard struct {
		Title, UID    string
		SchemaVersion int
		Panels        []struct {
			ID      int
			Type    string
			Title   string
			GridPos struct{ H, W, X, Y int }
			Targets []target
		}
		Templating struct {
			List []struct {
				Name  string
				Query any
			}
		}
		Annotations struct{ List []target }
	}
	if err := json.Unmarshal(raw, &dashboard); err != nil {
		t.Fatal(err)
	}
	if dashboard.UID == "" || dashboard.SchemaVersion == 0 || len(dashboard.Panels) < 10 {
		t.Errorf("%d panels, uid %q, schema %d", len(dashboard.Panels), dashboard.UID, dashboard.SchemaVersion)
	}
	s := counted(t)
	manyClients(s, 10)
	body := scrape(t, s.serve(t))
	known := map[string]bool{}
	for line := range strings.Lines(body) {
		if name, _, ok := strings.Cut(line, "{"); ok && !strings.HasPrefix(name, "#") {
			known[name] = true
		} else if name, _, ok := strings.Cut(line, " "); ok && !strings.HasPrefix(line, "#") {
			known[name] = true
		}
	}
	var exprs []string
	ids := map[int]bool{}
	var used [][4]int
	for _, p := range dashboard.Panels {
		if ids[p.ID] || p.Title == "" || len(p.Targets) == 0 {
			t.Errorf("panel %d %q: its id is taken, or it has no title or nothing to show", p.ID, p.Title)
		}
		ids[p.ID] = true
		g := p.GridPos
		for _, u := range used {
			if g.X < u[0]+u[2] && u[0] < g.X+g.W && g.Y < u[1]+u[3] && u[1] < g.Y+g.H {
				t.Errorf("panel %q lies over another", p.Title)
			}
		}
		if used = append(used, [4]int{g.X, g.Y, g.W, g.H}); g.X+g.W > 24 || g.W < 1 || g.H < 1 {
			t.Errorf("panel %q does not fit: %+v", p.Title, g)
		}
		for _, of := range p.Targets {
			exprs = append(exprs, of.Expr)
		}
	}
	for _, a := range dashboard.Annotations.List {
		exprs = append(exprs, a.Expr)
	}
	for _, v := range dashboard.Templating.List {
		exprs = append(exprs, fmt.Sprint(v.Query))
	}
	names := regexp.MustCompile(`\b(?:weir|process|go)_[a-z_]+`)
	asked := map[string]bool{}
	for _, expr := range exprs {
		for _, name := range names.FindAllString(expr, -1) {
			asked[name] = true
			if !known[name] {
				t.Errorf("there is no metric %s, which the dashboard asks for: %s", name, expr)
			}
		}
		for _, m := range regexp.MustCompile(`(decision|level|kind|op|class|reason)=~?"([^"]+)"`).FindAllStringSubmatch(expr, -1) {
			for _, word := range strings.Split(m[2], "|") {
				if !strings.Contains(body, m[1]+`="`+word+`"`) {
					t.Errorf("there is no %s=%q, which the dashboard asks for", m[1], word)
				}
			}
		}
	}
	for name := range known {
		base := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_sum"), "_count")
		if strings.HasPrefix(name, "weir_") && base == name && !asked[name] && !slices.Contains([]string{
			"weir_config_last_reload_success_timestamp_seconds", "weir_store_last_flush_timestamp_seconds"}, name) {
			t.Errorf("the dashboard does not show %s", name)
		}
	}
}

// Timings are of decisions, of one request in 64, and of what is behind, of all.
func TestTimings(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	timings := admin.NewTimings()
	status := 200
	behind := timings.Behind(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		switch status {
		case 0:
			panic(http.ErrAbortHandler)
		case 200:
			w.Write([]byte("it is 200 without being said"))
		case 404:
			w.WriteHeader(103)
			w.WriteHeader(404)
			w.WriteHeader(500)
		case 503:
			time.Sleep(time.Millisecond)
			w.WriteHeader(status)
			http.NewResponseController(w).Flush()
		case 302:
			http.NewResponseController(w).Flush() // with status 200
			w.WriteHeader(status)
		}
	}))
	s.front = timings.Around(s.source.Limits.Handler(behind))
	base := s.serve(t, func(cfg *admin.Config) { cfg.Timings = timings })
	for i := range 3000 {
		status = []int{200, 404, 503, 0, 302}[i%5]
		func() {
			defer func() { recover() }()
			s.ask(func(r *http.Request) { r.RemoteAddr = clientAddr(i / 6) }) // one of six is denied
		}()
	}
	got := series(t, base)
	var sum int
	for _, class := range []string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"} {
		var n int
		fmt.Sscan(got[`weir_upstream_duration_seconds_count{class="`+class+`"}`], &n)
		sum += n
		if wanted := class != "1xx" && class != "3xx"; (n > 0) != wanted {
			t.Errorf("class %s: %d", class, n)
		}
	}
	if sum != 2500 {
		t.Errorf("%d requests that were let through, want 2500", sum)
	}
	var decisions int
	fmt.Sscan(got["weir_decision_duration_seconds_count"], &decisions)
	if decisions < 10 || decisions > 120 { // 47 on average
		t.Errorf("%d decisions of 3000 were timed, want about one in 64", decisions)
	}
}
