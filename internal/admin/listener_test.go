package admin_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/internal/admin"
	"github.com/seed-0c889b51/weir/internal/adminapi"
)

// certificate returns one for a name.
func certificate(t *testing.T, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, of, of, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// A listener that says it is at an address that others can reach.
type public struct {
	net.Listener
	addr net.TCPAddr
}

func (p *public) Addr() net.Addr { return &p.addr }

// What others can reach wants a token and TLS, or it is not served.
func TestListenersThatOthersCanReach(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	secure := &tls.Config{Certificates: []tls.Certificate{certificate(t, "weir.example")}}
	for _, row := range []struct {
		name  string
		ip    string
		token string
		tls   *tls.Config
		safe  bool
	}{
		{"loopback needs neither", "127.0.0.1", "", nil, true},
		{"another address of loopback", "127.9.9.9", "", nil, true},
		{"IPv6 loopback", "::1", "", nil, true},
		{"all addresses", "0.0.0.0", token, nil, false},
		{"all addresses of IPv6", "::", token, nil, false},
		{"a private address", "10.0.0.1", token, nil, false},
		{"TLS without a token", "10.0.0.1", "", secure, false},
		{"neither", "192.0.2.1", "", nil, false},
		{"both", "192.0.2.1", token, secure, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			cfg := s.config(&public{loopback(t), net.TCPAddr{IP: net.ParseIP(row.ip), Port: 9429}})
			cfg.Token, cfg.TLS = row.token, row.tls
			server, err := admin.New(cfg)
			if errors.Is(err, admin.ErrUnsafe) == row.safe || err == nil != row.safe {
				t.Fatalf("error %v, want it safe: %v", err, row.safe)
			}
			if server != nil {
				server.Close()
			}
		})
	}
}

// On such a listener all but the probes wants the token, and the names are those
// of the certificate.
func TestPublicListener(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	l := loopback(t)
	cfg := s.config(&public{l, net.TCPAddr{IP: net.ParseIP("192.0.2.1"), Port: 9429}})
	cert := certificate(t, "weir.example")
	cfg.TLS = &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &cert, nil }}
	server, err := admin.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	run(t, server)
	client := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}
	ask := func(path, host string, edit ...func(*http.Request)) int {
		r, err := http.NewRequestWithContext(context.Background(), "GET", "https://"+l.Addr().String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		for _, f := range edit {
			f(r)
		}
		res, err := client.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode
	}
	for _, row := range []struct {
		path, host string
		edit       []func(*http.Request)
		want       int
	}{
		{"/healthz", "weir.example", nil, 200},
		{"/readyz", "weir.example:9429", nil, 200},
		{"/healthz", "192.0.2.1:9429", nil, 200},
		{"/healthz", "other.example", nil, 403},
		{"/healthz", "localhost", nil, 403}, // the name of another machine
		{"/healthz", "127.0.0.1", nil, 403},
		{adminapi.PathStatus, "weir.example", nil, 401},
		{adminapi.PathStatus, "weir.example", []func(*http.Request){owner}, 200},
		{adminapi.PathEvents, "weir.example", nil, 401},
		{adminapi.PathWhoami, "weir.example", nil, 401},
		{"/metrics", "weir.example", nil, 401},
		{"/metrics", "weir.example", []func(*http.Request){owner}, 200},
	} {
		if got := ask(row.path, row.host, row.edit...); got != row.want {
			t.Errorf("%s of %s: %d, want %d", row.path, row.host, got, row.want)
		}
	}
}

func TestUnixSocket(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	cfg := s.config(l)
	cfg.Token = ""
	server, err := admin.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	run(t, server)
	if server.URL() != "" {
		t.Errorf("URL %q", server.URL())
	}
	client := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}
	for host, want := range map[string]int{"localhost": 200, "evil.example": 403} {
		r, err := http.NewRequestWithContext(context.Background(), "GET", "http://"+host+adminapi.PathStatus, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s: %s, want %d", host, res.Status, want)
		}
	}
}

// What names clients or changes something wants the token, the whole of it, in
// one Authorization field and nowhere else.
func TestToken(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	base := s.serve(t)
	without := s.serve(t, func(cfg *admin.Config) { cfg.Token = "" })
	bearer := func(v string) func(*http.Request) { return field("Authorization", v) }
	for _, path := range []string{adminapi.PathKeys, adminapi.PathDecisions + "0123456789abcdef", "/debug/pprof/"} {
		for _, row := range []struct {
			name string
			edit []func(*http.Request)
		}{
			{"none", nil},
			{"an empty one", []func(*http.Request){bearer("Bearer ")}},
			{"a part of it", []func(*http.Request){bearer("Bearer " + token[:63])}},
			{"more than it", []func(*http.Request){bearer("Bearer " + token + "0")}},
			{"another", []func(*http.Request){bearer("Bearer " + strings.ToUpper(token))}},
			{"another scheme", []func(*http.Request){bearer("Basic " + token)}},
			{"two", []func(*http.Request){bearer("Bearer " + token), bearer("Bearer " + token)}},
			{"in a cookie", []func(*http.Request){field("Cookie", "token="+token)}},
			{"in the query", []func(*http.Request){func(r *http.Request) { r.URL.RawQuery = "token=" + token }}},
		} {
			res := send(t, "GET", base+path, "", row.edit...)
			if res.StatusCode != 401 || !strings.HasPrefix(res.Header.Get("WWW-Authenticate"), "Bearer ") {
				t.Errorf("%s with %s: %s", path, row.name, res.Status)
			}
		}
		if res := send(t, "GET", base+path, "", owner); res.StatusCode == 401 || res.StatusCode == 403 {
			t.Errorf("%s with the token: %s", path, res.Status)
		}
		// Without a token there is nothing that would do, an empty one neither.
		for _, edit := range []func(*http.Request){owner, bearer("Bearer "), bearer("Bearer")} {
			if res := send(t, "GET", without+path, "", edit); res.StatusCode != 403 {
				t.Errorf("%s without a token: %s", path, res.Status)
			}
		}
	}
	for _, path := range []string{adminapi.PathReset, adminapi.PathWhoami} {
		if res := send(t, "POST", base+path, "{}"); res.StatusCode != 401 {
			t.Errorf("POST %s: %s", path, res.Status)
		}
	}
}

func TestReadToken(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "token")
	first, err := admin.OwnToken(path)
	if err != nil || len(first) != 64 {
		t.Fatalf("%q, %v", first, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if again, err := admin.OwnToken(path); err != nil || again != first {
		t.Errorf("the second time: %v, and the same is %v", err, again == first)
	}
	if read, err := admin.ReadToken(path); err != nil || read != first {
		t.Errorf("read: %v, and the same is %v", err, read == first)
	}
	other, err := admin.OwnToken(filepath.Join(dir, "other"))
	if err != nil || other == first {
		t.Errorf("another file: %v, and the same is %v", err, other == first)
	}
	if _, err := admin.OwnToken(filepath.Join(dir, "no", "token")); err == nil || strings.Contains(err.Error(), dir) {
		t.Errorf("without its directory: %v", err)
	}
	for what, text := range map[string]string{"empty": "", "short": "0123", "with more": first + "\n" + first} {
		bad := filepath.Join(dir, what)
		if err := os.WriteFile(bad, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := admin.OwnToken(bad); err == nil || strings.Contains(err.Error(), first) {
			t.Errorf("%s: %q, %v", what, got, err)
		}
		if kept, err := os.ReadFile(bad); err != nil || string(kept) != text {
			t.Errorf("%s was changed", what)
		}
	}
	if err := os.Chmod(path, 0o604); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.ReadToken(path); err == nil {
		t.Error("a file that others may read is taken")
	}
}

// Profiles are there if they are wanted, and otherwise not.
func TestPprof(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	off := s.serve(t)
	on := s.serve(t, func(cfg *admin.Config) { cfg.Pprof = true })
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline"} {
		if res := send(t, "GET", off+path, "", owner); res.StatusCode != 404 {
			t.Errorf("off, %s: %s", path, res.Status)
		}
		if res := send(t, "GET", on+path, ""); res.StatusCode != 401 {
			t.Errorf("on, without the token, %s: %s", path, res.Status)
		}
	}
	if res := send(t, "GET", on+"/debug/pprof/heap", "", owner); res.StatusCode != 200 {
		t.Errorf("on: %s", res.Status)
	}
	// The command line may hold what is not for everybody.
	if res := send(t, "GET", on+"/debug/pprof/cmdline", "", owner); res.StatusCode == 200 && strings.Contains(text(t, res), "test") {
		t.Errorf("the command line is told")
	}
}
