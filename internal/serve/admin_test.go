package serve_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/internal/adminapi"
	"github.com/seed-0c889b51/weir/internal/serve"
)

const adminToken = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// watched adds a listener for the owner to a configuration.
func watched(cfg serve.Config) serve.Config {
	cfg.Admin = serve.Admin{Listen: "127.0.0.1:0", Token: adminToken, TokenFile: "token", Version: "v1.2.3"}
	return cfg
}

// owner asks the server as its owner, and returns the status and the body.
func owner(t *testing.T, s *running, path string, fields ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+s.server.Admin().String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	req.Header.Set("Authorization", "Bearer "+adminToken)
	for i := 0; i < len(fields); i += 2 {
		req.Header.Set(fields[i], fields[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

// The owner sees what is served, who is over a limit, and why.
func TestAdmin(t *testing.T) {
	t.Parallel()
	cfg := watched(config(t, "ip 2/min", "user 1000/day dry-run"))
	cfg.InFlight = inFlight(t, "ip 10")
	cfg.State = stateFile(t)
	cfg.Routes = to(t, func(http.ResponseWriter, *http.Request) {})
	s := start(t, cfg)
	if want := "admin      http://" + s.server.Admin().String() + "/ (token in token)\n"; !strings.Contains(s.banner.String(), want) {
		t.Errorf("the banner lacks %q:\n%s", want, s.banner)
	}
	for range 2 {
		status(t, s.url)
	}
	res, err := http.Get(s.url + "/x")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	id := res.Header.Get("X-Weir-Id")
	if res.StatusCode != 429 || id == "" {
		t.Fatalf("%s, %v", res.Status, res.Header)
	}
	var st adminapi.Status
	if code, body := owner(t, s, adminapi.PathStatus); code != 200 || json.Unmarshal([]byte(body), &st) != nil {
		t.Fatalf("%d %s", code, body)
	}
	if st.Version != "v1.2.3" || st.Listen != s.url || len(st.Upstreams) != 1 || st.State.Path != cfg.State || len(st.Policies) != 2 ||
		st.Policies[0].Key != "ip" || st.Policies[0].Denied != 1 || st.Policies[0].Allowed != 2 || !st.Policies[1].DryRun || st.Policies[1].Key != "user" {
		t.Errorf("%+v", st)
	}
	var d adminapi.Denial
	if code, body := owner(t, s, adminapi.PathDecisions+id); code != 200 || json.Unmarshal([]byte(body), &d) != nil || d.Key != "127.0.0.1" || d.Policy != "ip" || d.Path != "/x" {
		t.Errorf("%d %s", code, body)
	}
	if code, body := owner(t, s, adminapi.PathKeys+"?policy=ip"); code != 200 || !strings.Contains(body, `"127.0.0.1"`) {
		t.Errorf("%d %s", code, body)
	}
	code, body := owner(t, s, "/metrics")
	for _, want := range []string{
		`weir_requests_total{decision="denied",limit="ip"} 1`, `weir_requests_total{decision="allowed",limit="ip/in-flight"} 2`,
		`weir_upstream_duration_seconds_count{class="2xx"} 2`, `weir_keys_max{limit="ip"} 65536`, `weir_connections_refused_total{reason="over_all"} 0`,
	} {
		if code != 200 || !strings.Contains(body, want+"\n") {
			t.Errorf("%d, without %s:\n%s", code, want, body)
		}
	}
	if log := s.log.String(); !strings.Contains(log, `"msg":"a key is over its limit","limit":"ip","key":"#`) || strings.Contains(log, `"key":"127.0.0.1"`) {
		t.Errorf("the log:\n%s", log)
	}
}

// With NameKeys the log says who is over a limit.
func TestAdminNamesKeys(t *testing.T) {
	t.Parallel()
	cfg := config(t, "ip 1/min")
	cfg.Admin.NameKeys = true
	s := start(t, cfg)
	status(t, s.url)
	status(t, s.url)
	if log := s.log.String(); !strings.Contains(log, `"limit":"ip","key":"127.0.0.1","retry_after_s":60`) {
		t.Errorf("the log:\n%s", log)
	}
}

// Without a listener for the owner there is none, and nothing of it.
func TestNoAdmin(t *testing.T) {
	t.Parallel()
	s := start(t, config(t, "ip 1/min"))
	status(t, s.url)
	res, err := http.Get(s.url)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 429 || res.Header.Get("X-Weir-Id") != "" || s.server.Admin() != nil || strings.Contains(s.banner.String(), "admin ") {
		t.Errorf("%s, %v, %v\n%s", res.Status, res.Header, s.server.Admin(), s.banner)
	}
}

// What clients ask for never gets to the owner's listener: not by its address,
// and if it does by something in between, it is refused.
func TestAdminCannotBeReachedByClients(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	for _, upstream := range []string{"http://127.0.0.1:" + port, "http://localhost:" + port, "/api=http://127.0.0.1:" + port + "/api"} {
		cfg := watched(config(t, "ip 5/min"))
		cfg.Admin.Listen = "127.0.0.1:" + port
		var err error
		if cfg.Routes, err = routes(upstream); err != nil {
			t.Fatal(err)
		}
		cfg.Logger, cfg.Banner = slog.New(slog.DiscardHandler), io.Discard
		if _, err = serve.New(cfg); !errors.Is(err, serve.ErrConfig) || !strings.Contains(err.Error(), "is the address of --admin, which is not for clients") {
			t.Errorf("%s: %v", upstream, err)
		}
	}
	pipe, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	cfg := watched(config(t, "ip 50/min"))
	if cfg.Routes, err = routes("http://" + pipe.Addr().String()); err != nil {
		t.Fatal(err)
	}
	s := start(t, cfg)
	go func() {
		for {
			in, err := pipe.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", s.server.Admin().String())
			if err != nil {
				in.Close()
				return
			}
			go func() { io.Copy(out, in); out.Close() }()
			go func() { io.Copy(in, out); in.Close() }()
		}
	}()
	for _, path := range []string{adminapi.PathStatus, adminapi.PathKeys, "/metrics", "/"} {
		if got := status(t, s.url+path, "Authorization", "Bearer "+adminToken); got != 403 {
			t.Errorf("%s: %d, want 403", path, got)
		}
	}
}

// It is ready when it serves, and no longer when it stops.
func TestReady(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan bool), make(chan bool)
	cfg := watched(config(t, "ip 5/min"))
	cfg.Routes = to(t, func(http.ResponseWriter, *http.Request) { entered <- true; <-leave })
	s := start(t, cfg)
	go http.Get(s.url)
	<-entered
	if code, body := owner(t, s, "/readyz"); code != 200 {
		t.Errorf("serving: %d %s", code, body)
	}
	s.stop()
	code, body := 0, ""
	for range 500 {
		if code, body = owner(t, s, "/readyz"); code == 503 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if code != 503 || body != "not ready: it is stopping\n" {
		t.Errorf("stopping: %d %s", code, body)
	}
	if code, body := owner(t, s, "/healthz"); code != 200 {
		t.Errorf("stopping: %d %s", code, body)
	}
	close(leave)
	if err := <-s.done; err != nil {
		t.Error(err)
	}
	if code, body := owner(t, s, "/healthz"); code != 0 {
		t.Errorf("stopped: %d %s", code, body)
	}
}

// An address that is taken is an error, unless nobody asked for it.
func TestAdminAddressInUse(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	cfg := watched(config(t, "ip 5/min"))
	cfg.Admin.Listen, cfg.State = taken.Addr().String(), stateFile(t)
	cfg.Logger, cfg.Banner = slog.New(slog.DiscardHandler), io.Discard
	if _, err := serve.New(cfg); err == nil || errors.Is(err, serve.ErrConfig) || !strings.HasPrefix(err.Error(), `--admin "`+taken.Addr().String()+`": the address is in use`) {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(cfg.State); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the state was touched: %v", err)
	}
	cfg.Admin.Optional = true
	s := start(t, cfg)
	if want := "admin      none: --admin "; !strings.Contains(s.banner.String(), want) || s.server.Admin() != nil {
		t.Errorf("the banner lacks %q:\n%s", want, s.banner)
	}
	if got := status(t, s.url); got != 200 {
		t.Errorf("status %d", got)
	}
}

// What others could reach wants a token and TLS.
func TestAdminForOthers(t *testing.T) {
	t.Parallel()
	for _, token := range []string{"", adminToken} {
		cfg := watched(config(t, "ip 5/min"))
		cfg.Admin.Listen, cfg.Admin.Token, cfg.Admin.TokenFile = "0.0.0.0:0", token, ""
		cfg.Logger, cfg.Banner = slog.New(slog.DiscardHandler), io.Discard
		if _, err := serve.New(cfg); !errors.Is(err, serve.ErrConfig) || !strings.HasPrefix(err.Error(), `--admin "0.0.0.0:0": others could`) {
			t.Errorf("token %q: %v", token, err)
		}
	}
	cfg := watched(config(t, "ip 5/min"))
	client := withTLS(t, &cfg)
	cfg.Admin.Listen = "0.0.0.0:0"
	s := start(t, cfg)
	_, port, err := net.SplitHostPort(s.server.Admin().String())
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{"/healthz": 200, adminapi.PathStatus: 401} {
		res, err := client.Get("https://127.0.0.1:" + port + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s: %s, want %d", path, res.Status, want)
		}
	}
}

// A socket is this user's alone.
func TestAdminSocket(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "weir")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "admin.sock")
	cfg := watched(config(t, "ip 5/min"))
	cfg.Admin.Listen = "unix:" + path
	s := start(t, cfg)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
	res, err := client.Get("http://localhost" + adminapi.PathStatus)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 200 {
		t.Error(res.Status)
	}
	s.close(t)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is left behind: %v", err)
	}
}

// The token is made beside the state, and kept. Only a terminal is shown it.
func TestAdminMakesAToken(t *testing.T) {
	t.Parallel()
	cfg := watched(config(t, "ip 5/min"))
	cfg.State = stateFile(t)
	cfg.Admin.Token, cfg.Admin.TokenFile = "", cfg.State+".token"
	first := start(t, cfg)
	made, err := os.ReadFile(cfg.Admin.TokenFile)
	if err != nil || len(made) != 65 {
		t.Fatalf("%q, %v", made, err)
	}
	if got := first.banner.String() + first.log.String(); strings.Contains(got, string(made[:64])) || !strings.Contains(got, "/ (token in "+cfg.Admin.TokenFile+")\n") {
		t.Errorf("it is shown, or not where it is:\n%s", got)
	}
	if code, _ := owner(t, first, adminapi.PathKeys); code != 401 {
		t.Errorf("with another token: %d", code)
	}
	if code, _ := owner(t, first, adminapi.PathKeys, "Authorization", "Bearer "+string(made[:64])); code != 200 {
		t.Errorf("with it: %d", code)
	}
	first.close(t)
	cfg.Admin.ShowToken = true
	second := start(t, cfg)
	if want := "/#token=" + string(made[:64]) + "\n"; !strings.Contains(second.banner.String(), want) || strings.Contains(second.log.String(), string(made[:64])) {
		t.Errorf("the banner lacks %q:\n%s", want, second.banner)
	}
	second.close(t)
	if err := os.WriteFile(cfg.Admin.TokenFile, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	third := start(t, cfg)
	if code, _ := owner(t, third, adminapi.PathKeys); code != 403 || !strings.Contains(third.banner.String(), "names no client") ||
		!strings.Contains(third.log.String(), "there is no token for the admin listener") {
		t.Errorf("%d, with a file that holds none:\n%s", code, third.banner)
	}
}

// A state that cannot be used leaves nothing behind, and is seen.
func TestAdminWithoutItsState(t *testing.T) {
	t.Parallel()
	cfg := watched(config(t, "ip 5/min"))
	cfg.State = filepath.Join(t.TempDir(), "weir.db")
	if err := os.Mkdir(cfg.State, 0o700); err != nil {
		t.Fatal(err)
	}
	cfg.Admin.Token, cfg.Admin.TokenFile = "", cfg.State+".token"
	s := start(t, cfg)
	if _, err := os.Stat(cfg.Admin.TokenFile); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is a token: %v", err)
	}
	if code, body := owner(t, s, adminapi.PathStatus); code != 200 || !strings.Contains(body, `"id":"state-not-used","level":"error"`) {
		t.Errorf("%d %s", code, body)
	}
	if code, body := owner(t, s, "/readyz"); code != 200 {
		t.Errorf("%d %s: limits are enforced in memory, as --state-failure says", code, body)
	}
}
