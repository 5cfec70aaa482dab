package doctor_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
	"github.com/seed-0c889b51/weir/internal/doctor"
)

// serving returns the configuration of an exam of a server of its own.
func serving(t *testing.T, s *httptest.Server) doctor.Config {
	t.Helper()
	u, err := url.Parse(s.URL + "/things")
	if err != nil {
		t.Fatal(err)
	}
	return doctor.Config{URL: u, Addr: netip.MustParseAddrPort(s.Listener.Addr().String()), Timeout: time.Minute}
}

// locked has a handler do one thing at a time, which those of the other tests
// do by themselves.
func locked(h http.Handler) http.Handler {
	var mu sync.Mutex
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		h.ServeHTTP(w, r)
	})
}

// Over a network it is the same: this is the wire that people have.
func TestNetwork(t *testing.T) {
	t.Parallel()
	short := bucket.Limit{Quota: 5, Window: 2 * time.Second}
	for name, tt := range map[string]struct {
		api    http.Handler
		tls    bool
		failed string
	}{
		"right":          {api: middleware(t, short, httpmw.Config{}, hello)},
		"right, by TLS":  {api: middleware(t, short, httpmw.Config{}, hello), tls: true},
		"no limit":       {api: hello, failed: "limit"},
		"global":         {api: middleware(t, short, httpmw.Config{Keys: map[string]httpmw.Key{"ip": httpmw.Global()}}, hello), failed: "isolation"},
		"leftmost":       {api: locked(&fixed{n: 5, window: 2 * time.Second, key: leftmost}), failed: "spoofing blame"},
		"HEAD is exempt": {api: locked(&fixed{n: 5, window: 2 * time.Second, key: byAddr, free: func(r *http.Request) bool { return r.Method == "HEAD" }}), failed: "methods"},
		"a port's own":   {api: locked(&fixed{n: 5, window: 2 * time.Second, key: func(r *http.Request) string { return r.RemoteAddr }}), failed: "headers"},
		"too early":      {api: locked(&fixed{n: 5, window: 5 * time.Second, key: byAddr, retry: func(time.Duration) string { return "1" }}), failed: "retry"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewUnstartedServer(tt.api)
			if tt.tls {
				server.StartTLS()
			} else {
				server.Start()
			}
			defer server.Close()
			cfg := serving(t, server)
			cfg.Insecure = tt.tls
			r, err := doctor.Run(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			var table strings.Builder
			if err := r.Table(&table); err != nil {
				t.Fatal(err)
			}
			// On some systems 127.0.0.1 is the only address of its network.
			want := slices.DeleteFunc(strings.Fields(tt.failed), func(name string) bool {
				return slices.Contains(of(r, doctor.NotTested), name) && (name == "isolation" || name == "blame") && !second(t)
			})
			if got := of(r, doctor.Fail); !slices.Equal(got, want) {
				t.Errorf("failed: %q, want %q\n%s", got, want, &table)
			}
		})
	}
}

// second tells whether requests can be sent from a second address.
func second(t *testing.T) bool {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Logf("without a second client: %v", err)
		return false
	}
	l.Close()
	return true
}

// A certificate that is nobody's is not accepted unless that is asked for.
func TestNetworkCertificate(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(hello)
	server.Config.ErrorLog = quiet()
	server.StartTLS()
	defer server.Close()
	r, err := doctor.Run(t.Context(), serving(t, server))
	if r != nil || err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("%v, %v: want that the certificate is not accepted", r, err)
	}
}
