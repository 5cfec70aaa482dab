package adminclient_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir/internal/adminapi"
	"github.com/seed-0c889b51/weir/internal/adminclient"
	"github.com/seed-0c889b51/weir/internal/adminfake"
)

const token = "a-token"

func fake() *adminfake.Server {
	s := &adminfake.Server{Token: token, Whoami: adminapi.Whoami{Client: "127.0.0.1"}}
	s.Status = func(int) adminapi.Status {
		return adminapi.Status{Version: "v1", Policies: []adminapi.Policy{{Name: "ip", Asked: 7}}}
	}
	s.SetKeys(adminapi.Key{Key: "203.0.113.7", Policy: "ip", Remaining: 1, Burst: 5}, adminapi.Key{Key: "alice", Policy: "user", Burst: 5})
	return s
}

// All of the API, over TCP and over a Unix socket.
func TestClient(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			s := fake()
			at := "127.0.0.1:0"
			if network == "unix" {
				if runtime.GOOS == "windows" {
					t.Skip("skipped: the paths of the sockets are another matter there")
				}
				at = filepath.Join(t.TempDir(), "admin.sock")
			}
			l, err := net.Listen(network, at)
			if err != nil {
				t.Fatal(err)
			}
			server := &httptest.Server{Listener: l, Config: &http.Server{Handler: s.Handler()}}
			server.Start()
			t.Cleanup(server.Close)
			address := l.Addr().String()
			if network == "unix" {
				address = "unix:" + at
			}
			c, err := adminclient.New(address, token)
			if err != nil {
				t.Fatal(err)
			}
			ctx := t.Context()
			if st, err := c.Status(ctx); err != nil || st.Version != "v1" || st.Policies[0].Asked != 7 {
				t.Errorf("Status: %+v, %v", st, err)
			}
			if keys, err := c.Keys(ctx, "", 50); err != nil || len(keys) != 2 {
				t.Errorf("Keys of all: %+v, %v", keys, err)
			}
			if keys, err := c.Keys(ctx, "", 1); err != nil || len(keys) != 1 {
				t.Errorf("one of the Keys: %+v, %v", keys, err)
			}
			if keys, err := c.Keys(ctx, "user", 50); err != nil || len(keys) != 1 || keys[0].Key != "alice" {
				t.Errorf("Keys of user: %+v, %v", keys, err)
			}
			if err := c.Reset(ctx, "ip", "203.0.113.7"); err != nil || len(s.Resets()) != 1 || s.Resets()[0] != (adminapi.Reset{Policy: "ip", Key: "203.0.113.7"}) {
				t.Errorf("Reset: %v, and the server has %+v", err, s.Resets())
			}
			if err := c.Reset(ctx, "ip", "203.0.113.7"); err == nil || !strings.Contains(err.Error(), "no such key is in memory under ip") {
				t.Errorf("Reset of a key that is not there: %v", err)
			}
			if w, err := c.Whoami(ctx); err != nil || w.Client != "127.0.0.1" {
				t.Errorf("Whoami: %+v, %v", w, err)
			}
			if w, err := c.Ask(ctx, adminapi.Question{Peer: "10.0.0.1"}); err != nil || w.Client != "127.0.0.1" || s.Questions()[0].Peer != "10.0.0.1" {
				t.Errorf("Ask: %+v, %v, and the server has %+v", w, err, s.Questions())
			}
			wrong, err := adminclient.New(address, "another")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := wrong.Keys(ctx, "", 1); !errors.Is(err, adminclient.ErrToken) || !strings.HasSuffix(err.Error(), "this is not it") {
				t.Errorf("Keys with another token: %v", err)
			}
			none, err := adminclient.New(address, "")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := none.Keys(ctx, "", 1); !errors.Is(err, adminclient.ErrToken) || strings.HasSuffix(err.Error(), "this is not it") {
				t.Errorf("Keys without a token: %v", err)
			}
			server.Close()
			if _, err := c.Status(ctx); !errors.Is(err, adminclient.ErrUnreachable) || !strings.Contains(err.Error(), "is weir serve running") {
				t.Errorf("with no server: %v", err)
			}
		})
	}
}

// What may be at an address and is no admin listener, or a broken one.
func TestStrangers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		why     string
		handler http.HandlerFunc
		want    string
	}{
		{"a page", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) }, "what is not of weir's admin listener"},
		{"a redirect is not followed, since the token is for nobody else", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		}, "302 Found"},
		{"a long error is cut", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(500)
			w.Write([]byte(`{"title":"` + strings.Repeat("x", 500) + `"}`))
		}, strings.Repeat("x", 400) + "..."},
		{"an answer without end", func(w http.ResponseWriter, _ *http.Request) {
			for range 17 {
				w.Write(make([]byte, 1<<20))
			}
		}, "more than 16 MiB"},
		{"an answer that is cut off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "10")
			w.Write([]byte("{"))
		}, "no answer: unexpected EOF"},
	} {
		server := httptest.NewServer(tt.handler)
		t.Cleanup(server.Close)
		c, err := adminclient.New(server.URL, token)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Status(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q in it", tt.why, err, tt.want)
		}
	}
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(fake().Handler())
	t.Cleanup(server.Close)
	c, err := adminclient.New(server.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Status(ctx); !errors.Is(err, context.Canceled) || errors.Is(err, adminclient.ErrUnreachable) {
		t.Errorf("after the end of the context: %v", err)
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	const want = "want HOST:PORT such as 127.0.0.1:9429, a URL such as https://weir.example:9429, or unix:PATH"
	for address, problem := range map[string]string{
		"127.0.0.1:9429": "", "localhost:9429": "", "[::1]:9429": "", ":9429": "", "http://127.0.0.1:9429/": "", "https://weir.example": "", "unix:/run/a.sock": "", "unix:a": "",
		"": want, "9429": want, "127.0.0.1": want, "127.0.0.1:0": want, "127.0.0.1:65536": want, "127.0.0.1:9429/x": want, "http://a?b": want,
		"http://me:secret@127.0.0.1:9429": want, "http://": want, "::1:9429": want, "a b:1": want, "http://a:99999": want,
		"ftp://a:1": `scheme "ftp": want http or https`, "unix:": "it has no path: want unix:PATH, such as unix:/run/weir/admin.sock", "unix:a\x00": "it has no path: want unix:PATH, such as unix:/run/weir/admin.sock",
	} {
		got := ""
		if err := adminclient.CheckAddress(address); err != nil {
			got = err.Error()
		}
		if got != problem {
			t.Errorf("%q: %q, want %q", address, got, problem)
		}
		if _, err := adminclient.New(address, ""); (err == nil) != (problem == "") {
			t.Errorf("New(%q): %v", address, err)
		}
	}
}

// The token goes where nobody else can read it.
func TestTokenOnItsWay(t *testing.T) {
	t.Parallel()
	for address, fine := range map[string]bool{
		"127.0.0.1:9429": true, "[::1]:9429": true, "localhost:9429": true, "unix:/a": true, "https://192.0.2.1:9429": true, ":9429": true,
		"192.0.2.1:9429": false, "http://weir.example:9429": false, "http://localhost.example:9429": false, "127.0.0.1.example:1": false,
	} {
		if _, err := adminclient.New(address, token); (err == nil) != fine {
			t.Errorf("New(%q) with a token: %v", address, err)
		} else if err != nil && strings.Contains(err.Error(), token) {
			t.Errorf("New(%q) shows the token: %v", address, err)
		}
	}
}
