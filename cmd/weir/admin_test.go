//go:build unix

package main

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// asOwner asks the admin listener and returns the body.
func asOwner(t *testing.T, url, token string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// Who runs weir sees it by its admin listener, with the token beside the state.
func TestAdminListener(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := serve(t, dir, "--admin", "127.0.0.1:0", "--limit", "ip 2/day")
	found := regexp.MustCompile(`(?m)^admin      (http://127\.0\.0\.1:\d+/) \(token in weir\.db\.token\)$`).FindStringSubmatch(p.stderr())
	if found == nil {
		t.Fatalf("the banner does not say where:\n%s", p.stderr())
	}
	made, err := os.ReadFile(filepath.Join(dir, "weir.db.token"))
	if err != nil {
		t.Fatal(err)
	}
	base, token := found[1], strings.TrimSpace(string(made))
	ask(t, p.url, "127.0.0.1", 2)
	id := get(t, p.url+"/x", "127.0.0.1").Header.Get("X-Weir-Id")
	code, text := asOwner(t, base+"api/v1/decisions/"+id, token)
	var why struct{ Key, Policy, Path string }
	if err := json.Unmarshal([]byte(text), &why); err != nil || code != 200 || why.Key != "127.0.0.1" || why.Policy != "ip" || why.Path != "/x" {
		t.Errorf("why was it denied: %d %s", code, text)
	}
	if code, text := asOwner(t, base+"metrics", ""); code != 200 || !strings.Contains(text, `weir_requests_total{decision="denied",limit="ip"} 1`) {
		t.Errorf("metrics: %d %s", code, text)
	}
	if code, _ := asOwner(t, base+"api/v1/keys", "x"); code != 401 {
		t.Errorf("keys without the token: %d", code)
	}
	if code, _ := asOwner(t, base+"readyz", ""); code != 200 {
		t.Errorf("ready: %d", code)
	}
	p.terminate()
	if log := p.stderr(); !strings.Contains(log, `"msg":"a key is over its limit","limit":"ip","key":"#`) || strings.Contains(log, token) {
		t.Errorf("the log:\n%s", log)
	}
}

// What may not be is said at the start, and leaves nothing behind.
func TestAdminFlags(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, tt := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--admin", "0.0.0.0:0"}, 3, `--admin "0.0.0.0:0": others could reach it`},
		{[]string{"--admin", "9429"}, 3, `--admin "9429"`},
		{[]string{"--admin", taken.Addr().String()}, 1, "the address is in use"},
		{[]string{"--admin", "unix:/no/such/directory/s"}, 3, `--admin "unix:/no/such/directory/s": the directory does not exist`},
		{[]string{"--admin-token", "none-such"}, 1, `--admin-token "none-such": no such file`},
		{[]string{"--admin-token", ""}, 3, "it is empty"},
		{[]string{"--admin", "none", "--admin-token", "x"}, 3, "admin-token"},
	} {
		dir := t.TempDir()
		code, stderr := fail(t, dir, append([]string{"serve", "--listen", "127.0.0.1:0"}, tt.args...)...)
		if code != tt.code || !strings.Contains(stderr, tt.says) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("weir serve %q: exit code %d, want %d and one line with %s:\n%s", tt.args, code, tt.code, tt.says, stderr)
		}
		if left := tree(t, dir); left != "" {
			t.Errorf("weir serve %q left behind:\n%s", tt.args, left)
		}
	}
	p := serve(t, t.TempDir(), "--admin", "none")
	if strings.Contains(p.stderr(), "\nadmin ") {
		t.Errorf("with --admin none:\n%s", p.stderr())
	}
}
