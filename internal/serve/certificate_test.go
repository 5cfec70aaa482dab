package serve_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0c889b51/weir/internal/serve"
)

// newPair returns a certificate for 127.0.0.1 with a serial number, and its
// key, both in PEM.
func newPair(t *testing.T, serial int64) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().AddDate(-1, 0, 0), NotAfter: time.Now().AddDate(100, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, b []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
	}
	return encode("CERTIFICATE", der), encode("PRIVATE KEY", pkcs8)
}

// withTLS adds a certificate to a configuration, and returns a client that
// trusts it.
func withTLS(t *testing.T, cfg *serve.Config, protocols ...string) *http.Client {
	t.Helper()
	dir := t.TempDir()
	cert, key := newPair(t, 1)
	cfg.TLSCert, cfg.TLSKey = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	write(t, cfg.TLSCert, cert)
	write(t, cfg.TLSKey, key)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(cert))
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots}, Protocols: new(http.Protocols),
		DisableCompression: true,
	}
	transport.Protocols.SetHTTP1(len(protocols) > 0)
	transport.Protocols.SetHTTP2(len(protocols) == 0)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// Refused requests do not cost a connection, with HTTP/2 or without.
func TestCheck36RefusedRequestsShareAConnection(t *testing.T) {
	t.Parallel()
	for _, protocols := range [][]string{nil, {"http/1.1"}} {
		cfg := config(t, "ip 1/day")
		client := withTLS(t, &cfg, protocols...)
		s := start(t, cfg)
		connections := 0
		for i, want := range []int{200, 429, 429, 429} {
			trace := &httptrace.ClientTrace{ConnectStart: func(_, _ string) { connections++ }}
			req, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), "GET", s.url, nil)
			if err != nil {
				t.Fatal(err)
			}
			res, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
			wantProto := "HTTP/2.0"
			if protocols != nil {
				wantProto = "HTTP/1.1"
			}
			if res.StatusCode != want || res.Proto != wantProto || res.Close {
				t.Errorf("request %d: %s %d, want %s %d and an open connection", i+1, res.Proto, res.StatusCode, wantProto, want)
			}
		}
		if connections != 1 {
			t.Errorf("%v: 4 requests took %d connections, want 1", protocols, connections)
		}
		if !strings.Contains(s.banner.String(), "listening  https://127.0.0.1:") || !strings.Contains(s.banner.String(), "try        curl -i -k https://") {
			t.Errorf("the banner does not say https:\n%s", s.banner)
		}
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	t.Parallel()
	cfg := config(t, "ip 100/s")
	withTLS(t, &cfg)
	s := start(t, cfg)
	for version, want := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		conn, err := tls.Dial("tcp", s.server.Addr().String(), &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version})
		if err == nil {
			conn.Close()
		}
		if got := err == nil; got != want {
			t.Errorf("%s: %v, want accepted: %v", tls.VersionName(version), err, want)
		}
	}
}

// Plain HTTP on a port with TLS is told so, and the other way round nothing is
// served.
func TestPlainHTTPOnTLS(t *testing.T) {
	t.Parallel()
	cfg := config(t, "ip 100/s")
	withTLS(t, &cfg)
	if got := say(t, start(t, cfg), plain); got != 400 {
		t.Errorf("status %d, want 400", got)
	}
}

func TestCertificateThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := newPair(t, 1)
	_, other := newPair(t, 2)
	for name, text := range map[string]string{"cert": cert, "key": key, "other": other, "empty": ""} {
		write(t, filepath.Join(dir, name), text)
	}
	for _, tt := range []struct{ why, cert, key, says string }{
		{"no file", "none", "key", "no such file"},
		{"no file of the key", "cert", "none", "no such file"},
		{"the key of another", "cert", "other", "private key does not match public key"},
		{"nothing in it", "empty", "key", "failed to find any PEM data"},
		{"the wrong way round", "key", "cert", "but did find a private key"},
	} {
		cfg := config(t, "ip 1/s")
		cfg.TLSCert, cfg.TLSKey = filepath.Join(dir, tt.cert), filepath.Join(dir, tt.key)
		cfg.Logger, cfg.Banner = discard, io.Discard
		_, err := serve.New(cfg)
		if !errors.Is(err, serve.ErrConfig) || !strings.Contains(err.Error(), tt.says) || !strings.HasPrefix(err.Error(), "--tls-cert ") ||
			strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: New = %v, want ErrConfig that says %q", tt.why, err, tt.says)
		}
	}
}

// A certificate is read again once its files have changed; until there is one
// that can be used the old one is, and the log says so once.
func TestCertificateIsReadAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		certFile, keyFile := filepath.Join(dir, "cert"), filepath.Join(dir, "key")
		changes := 0
		put := func(file, text string) {
			write(t, file, text)
			changes++ // the file system's clock may be a coarse one
			at := time.Unix(int64(changes), 0)
			if err := os.Chtimes(file, at, at); err != nil {
				t.Fatal(err)
			}
		}
		cert, key := newPair(t, 1)
		put(certFile, cert)
		put(keyFile, key)
		log := &book{}
		get, err := serve.Certificate(certFile, keyFile, slog.New(slog.NewTextHandler(log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		serial := func() int64 {
			c, err := get(nil)
			if err != nil {
				t.Fatal(err)
			}
			return c.Leaf.SerialNumber.Int64()
		}
		newCert, newKey := newPair(t, 2)
		for i, step := range []struct {
			why    string
			change func()
			wait   time.Duration
			want   int64
			lines  int // in the log by then
		}{
			{"nothing has changed", func() {}, serve.LookEvery, 1, 0},
			{"half of it has", func() { put(certFile, newCert) }, serve.LookEvery, 1, 1},
			{"still", func() {}, serve.LookEvery, 1, 1},
			{"the other half has, but not a second ago", func() { put(keyFile, newKey) }, serve.LookEvery - 1, 1, 1},
			{"a second ago", func() {}, 1, 2, 2},
			{"there is no file", func() { os.Remove(certFile) }, serve.LookEvery, 2, 3},
			{"the old one is back", func() { put(certFile, cert); put(keyFile, key) }, serve.LookEvery, 1, 4},
		} {
			step.change()
			time.Sleep(step.wait)
			if got := serial(); got != step.want {
				t.Errorf("%d, %s: certificate %d is used, want %d", i+1, step.why, got, step.want)
			}
			if got := strings.Count(log.String(), "\n"); got != step.lines {
				t.Errorf("%d, %s: %d lines in the log, want %d:\n%s", i+1, step.why, got, step.lines, log)
			}
		}
	})
}
