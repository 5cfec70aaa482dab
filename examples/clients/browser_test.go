package clients

import (
	"encoding/json"
	"fmt"
	"html"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

// An answer is what a script can read of it.
type answer struct {
	Status               int
	Limit, Policy, Retry string
	Error                string // in place of all that
}

// String is the answer without what depends on the time that has passed.
func (a answer) String() string {
	if a.Error != "" {
		return "error"
	}
	limit, _, _ := strings.Cut(a.Limit, ";t=")
	retry := a.Retry
	if n, err := strconv.Atoi(retry); err == nil && 0 < n && n <= 1800 {
		retry = "in time"
	}
	return fmt.Sprintf("%d limit=%s policy=%s retry=%s", a.Status, limit, a.Policy, retry)
}

// cors is CORS middleware for any origin that has not heard of limits. It ends
// preflights, which it counts, and has the browser send one each time.
func cors(preflights *atomic.Int64, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
		if r.Method == http.MethodOptions {
			preflights.Add(1)
			h.Set("Access-Control-Allow-Headers", "X-Api-Key")
			h.Set("Access-Control-Max-Age", "0")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// browse has chromium open the page, whose script sends requests to api, and
// returns what the script saw.
func browse(t *testing.T, api string, times int) []answer {
	t.Helper()
	chromium := find(t, "chromium", "chromium-browser", "google-chrome")
	// Not t.TempDir, since what is left of chromium may still write into it.
	profile, err := os.MkdirTemp("", "chromium-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(profile) })
	site := httptest.NewServer(http.FileServer(http.Dir("testdata")))
	t.Cleanup(site.Close)
	query := url.Values{"api": {api}, "times": {strconv.Itoa(times)}}
	dom, err := output(chromium, "--headless", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--no-sandbox", // it does not work for root, and the page is ours
		"--user-data-dir="+profile, "--virtual-time-budget=60000", "--dump-dom",
		site.URL+"/page.html?"+query.Encode())
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`(?s)<pre id="seen">(.*?)</pre>`).FindStringSubmatch(dom)
	if text == nil {
		t.Fatalf("chromium shows no page of ours:\n%s", dom)
	}
	var seen []answer
	if err := json.Unmarshal([]byte(html.UnescapeString(text[1])), &seen); err != nil {
		t.Fatalf("chromium shows %q: %v", text[1], err)
	}
	return seen
}

// What a script of another origin can read, and who pays for preflights.
func TestCheck41And42_browser(t *testing.T) {
	t.Parallel()
	const policy = `"ip";q=2;w=3600`
	outermost := func(limited func(http.Handler) http.Handler, inner http.Handler, n *atomic.Int64) http.Handler {
		return cors(n, limited(inner))
	}
	within := func(limited func(http.Handler) http.Handler, inner http.Handler, n *atomic.Int64) http.Handler {
		return limited(cors(n, inner))
	}
	for name, test := range map[string]struct {
		cfg        httpmw.Config
		build      func(limited func(http.Handler) http.Handler, inner http.Handler, preflights *atomic.Int64) http.Handler
		want       []string
		preflights int64 // that the limit let through
	}{
		"41: with ExposeFields and CORS outermost a script reads all of it, of a refusal, too": {
			cfg:   httpmw.Config{ExposeFields: true},
			build: outermost,
			want: []string{
				`200 limit="ip";r=1 policy=` + policy + " retry=",
				`200 limit="ip";r=0 policy=` + policy + " retry=",
				`429 limit="ip";r=0 policy=` + policy + " retry=in time",
			},
			preflights: 3,
		},
		"41: without it a script reads nothing": {
			build:      outermost,
			want:       []string{"200 limit= policy= retry=", "200 limit= policy= retry=", "429 limit= policy= retry="},
			preflights: 3,
		},
		"42: a preflight that the limit sees is not charged to the client": {
			cfg:   httpmw.Config{ExposeFields: true},
			build: within,
			want: []string{
				`200 limit="ip";r=1 policy=` + policy + " retry=",
				`200 limit="ip";r=0 policy=` + policy + " retry=",
			},
			preflights: 2,
		},
		"42: by choice it is": {
			cfg:        httpmw.Config{ExposeFields: true, Preflight: httpmw.PreflightCharge},
			build:      within,
			want:       []string{`200 limit="ip";r=0 policy=` + policy + " retry=", "error"},
			preflights: 1,
		},
		"42: or counted not at all": {
			cfg:   httpmw.Config{ExposeFields: true, Preflight: httpmw.PreflightSkip},
			build: within,
			want: []string{
				`200 limit="ip";r=1 policy=` + policy + " retry=",
				`200 limit="ip";r=0 policy=` + policy + " retry=",
				"error", // without CORS outermost a script cannot even read the 429
			},
			preflights: 3,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			limiter, err := weir.Open("", weir.Policy{Name: "ip", Limit: bucket.PerHour(2)})
			if err != nil {
				t.Fatal(err)
			}
			test.cfg.Keys = map[string]httpmw.Key{"ip": httpmw.ByIP()}
			test.cfg.Logger = slog.New(slog.DiscardHandler)
			mw, err := httpmw.New(limiter, test.cfg)
			if err != nil {
				t.Fatal(err)
			}
			var preflights atomic.Int64
			inner := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") })
			api := httptest.NewServer(test.build(mw.Handler, inner, &preflights))
			t.Cleanup(api.Close)

			seen := browse(t, api.URL, len(test.want))
			if len(seen) != len(test.want) {
				t.Fatalf("the script saw %v, want %q", seen, test.want)
			}
			for i, want := range test.want {
				if got := seen[i].String(); got != want {
					t.Errorf("request %d: the script saw\n%s\nwant\n%s", i+1, got, want)
				}
			}
			if n := preflights.Load(); n != test.preflights {
				t.Errorf("%d preflights came through, want %d", n, test.preflights)
			}
		})
	}
}
