package clients

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

// A server has nothing left for a client that sends its first request: somebody
// else at its address has just been there.
type server struct {
	*httptest.Server
	mu      sync.Mutex
	answers []int // the statuses, in order
}

// A statusWriter keeps the status of a response.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func serve(t *testing.T, limit bucket.Limit) *server {
	t.Helper()
	limiter, err := weir.Open("", weir.Policy{Name: "ip", Limit: limit})
	if err != nil {
		t.Fatal(err)
	}
	mw, err := httpmw.New(limiter, httpmw.Config{Keys: map[string]httpmw.Key{"ip": httpmw.ByIP()}})
	if err != nil {
		t.Fatal(err)
	}
	limited := mw.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello\n") }))
	s := &server{}
	var once sync.Once
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		once.Do(func() { limited.ServeHTTP(httptest.NewRecorder(), r.Clone(r.Context())) })
		sw := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		limited.ServeHTTP(sw, r)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.answers = append(s.answers, sw.status)
	}))
	t.Cleanup(s.Close)
	return s
}

// got returns the statuses of the answers, in order.
func (s *server) got() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.answers)
}

// A client that tries again by its own logic, as it comes, gets 200 after
// exactly one refusal: it understands Retry-After, which is not too early.
func TestCheck80_clients(t *testing.T) {
	t.Parallel()
	node := func(client string) func(*testing.T, string) (string, error) {
		return func(t *testing.T, url string) (string, error) {
			return output("node", script(t, "clients.mjs"), client, url)
		}
	}
	for name, client := range map[string]func(t *testing.T, url string) (status string, err error){
		"curl": func(t *testing.T, url string) (string, error) {
			return output(find(t, "curl"), "--silent", "--retry", "3", "--output", t.TempDir()+"/body", "--write-out", "%{http_code}", url)
		},
		"go-retryablehttp": func(_ *testing.T, url string) (string, error) {
			client := retryablehttp.NewClient()
			client.Logger = nil
			// So as not to pass just since it is slow of itself.
			client.RetryWaitMin = time.Millisecond
			res, err := client.Get(url)
			if err != nil {
				return "", err
			}
			defer res.Body.Close()
			return strconv.Itoa(res.StatusCode), nil
		},
		"urllib3": func(t *testing.T, url string) (string, error) {
			const program = `import sys, urllib3
print(urllib3.PoolManager().request("GET", sys.argv[1], retries=urllib3.Retry(3)).status)`
			return output(python(t), "-c", program, url)
		},
		"got":         node("got"),
		"axios-retry": node("axios-retry"),
		"undici":      node("undici"),
		"ky":          node("ky"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, bucket.Limit{Quota: 1, Window: 2 * time.Second})
			status, err := client(t, s.URL)
			if err != nil {
				t.Fatal(err)
			}
			if status != "200" {
				t.Errorf("%s ends with status %s, want 200", name, status)
			}
			if got, want := fmt.Sprint(s.got()), "[429 200]"; got != want {
				t.Errorf("%s was answered %s, want %s", name, got, want)
			}
		})
	}
}
