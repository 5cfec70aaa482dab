package proxy_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/dunglas/httpsfv"

	"github.com/seed-0c889b51/weir/internal/proxy"
)

const (
	ourLimit  = `"ip";r=4;t=4`
	ourPolicy = `"ip";q=5;w=5`
)

// frontWithFields is front behind something that sets the limiter's fields.
func frontWithFields(t *testing.T, to string) string {
	t.Helper()
	target, err := proxy.ParseTarget(to)
	if err != nil {
		t.Fatal(err)
	}
	p, err := proxy.New(proxy.Config{To: target})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.CloseIdle)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("RateLimit", ourLimit)
		w.Header().Set("RateLimit-Policy", ourPolicy)
		p.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestFieldsOfTwoLimiters(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		why               string
		limit, policy     string // the upstream's
		wantLim, wantPols string // lines joined
	}{
		{"the upstream has none", "", "", ourLimit, ourPolicy},
		{"both can be read together", `"up";r=1;t=1`, `"up";q=9;w=9`, ourLimit + `, "up";r=1;t=1`, ourPolicy + `, "up";q=9;w=9`},
		{"the upstream has only one of the fields", "", `"up";q=9;w=9`, ourLimit, ourPolicy + `, "up";q=9;w=9`},
		{"draft 7: one broken item would spoil the whole field", "limit=10, remaining=5, reset=3", "10;w=60", "limit=10, remaining=5, reset=3", "10;w=60"},
		{"draft 6 has the same name for the policy", "", "10;w=60", "", "10;w=60"},
		{"two policies of one name", `"ip";r=1;t=1`, `"ip";q=1;w=1`, `"ip";r=1;t=1`, `"ip";q=1;w=1`},
		{"a token is no string", `up;r=1`, `up;q=1`, `up;r=1`, `up;q=1`},
		{"an inner list is no item", `("up");r=1`, `("up");q=1`, `("up");r=1`, `("up");q=1`},
		{"no field at all", `"up`, `"up`, `"up`, `"up`},
	} {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			addr := frontWithFields(t, upstream(t, func(w http.ResponseWriter, r *http.Request) {
				if tt.limit != "" {
					w.Header().Set("RateLimit", tt.limit)
				}
				if tt.policy != "" {
					w.Header().Set("RateLimit-Policy", tt.policy)
				}
			}))
			res, _ := get(t, addr)
			gotLim, gotPol := strings.Join(res.Header.Values("RateLimit"), ", "), strings.Join(res.Header.Values("RateLimit-Policy"), ", ")
			if gotLim != tt.wantLim || gotPol != tt.wantPols {
				t.Errorf("the client got\n RateLimit: %s\n RateLimit-Policy: %s\nwant\n RateLimit: %s\n RateLimit-Policy: %s",
					gotLim, gotPol, tt.wantLim, tt.wantPols)
			}
			if strings.Contains(gotLim, `"ip";r=4`) {
				if _, err := httpsfv.UnmarshalList(res.Header.Values("RateLimit")); err != nil {
					t.Errorf("our field cannot be read: %v", err)
				}
			}
		})
	}
}

func TestOtherFieldsOfTheUpstreamPass(t *testing.T) {
	t.Parallel()
	addr := frontWithFields(t, upstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.Header().Set("X-RateLimit-Remaining", "3")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	res, _ := get(t, addr)
	if res.StatusCode != 429 || res.Header.Get("Retry-After") != "7" || res.Header.Get("X-RateLimit-Remaining") != "3" {
		t.Errorf("the upstream's own 429 came as %d with %v", res.StatusCode, res.Header)
	}
}
