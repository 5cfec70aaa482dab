package page_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir/internal/cli"
)

// serving runs weir serve, and returns where it serves, where its owner looks, and
// the token of the owner.
func serving(t *testing.T, limits ...string) (api, admin, token string) {
	t.Helper()
	state := filepath.Join(t.TempDir(), "weir.db")
	args := []string{"serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--state", state}
	for _, limit := range limits {
		args = append(args, "--limit", limit)
	}
	banner, stderr := io.Pipe()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan int)
	go func() {
		code := cli.Run(ctx, cli.World{Args: args, Stdout: io.Discard, Stderr: stderr, Force: context.Background()})
		stderr.Close()
		done <- code
	}()
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(banner); s.Scan(); {
			select {
			case lines <- s.Text():
			default: // nobody reads any more
			}
		}
		io.Copy(io.Discard, banner)
	}()
	t.Cleanup(func() {
		stop()
		if code := <-done; code != 0 {
			t.Errorf("weir serve ended with %d", code)
		}
	})
	var all strings.Builder
	for line := range lines {
		fmt.Fprintln(&all, line)
		what, rest, _ := strings.Cut(line, " ")
		rest = strings.TrimSpace(rest)
		switch what {
		case "listening":
			api = rest
		case "admin":
			admin, _, _ = strings.Cut(rest, " ")
		case "try": // the last line
			text, err := os.ReadFile(state + ".token")
			if err != nil || api == "" || admin == "" {
				t.Fatalf("%v, and the banner is\n%s", err, all.String())
			}
			return api, admin, strings.TrimSpace(string(text))
		}
	}
	t.Fatalf("weir serve has ended: %s", all.String())
	return
}

// The page of a weir that serves: a client is refused, is seen there, and is why;
// and is served again when its key is reset.
func TestWithWeirServe(t *testing.T) {
	t.Parallel()
	b := open(t)
	api, admin, token := serving(t, "ip 5/h", "user 1000/day")
	ask := func() (status int, id string) {
		t.Helper()
		response, err := http.Get(api)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response.StatusCode, response.Header.Get("X-Weir-Id")
	}
	for range 5 {
		if status, _ := ask(); status != 200 {
			t.Fatalf("status %d within the limit", status)
		}
	}
	status, id := ask()
	if status != 429 || id == "" {
		t.Fatalf("status %d, id %q beyond the limit", status, id)
	}
	b.show(admin+"#token="+token, 1280, 900, "light")
	b.untilText("#link", "live")
	b.untilText("#limit-list", "ip: 5/h")
	b.untilText("#limit-list li:first-child", "It bites")
	b.untilText("#keys-rows", "127.0.0.1 ip 0 of 5 free again in 1") // 12 minutes, or 11
	var shown string
	b.eval(&shown, "location.href")
	if shown != admin {
		t.Errorf("the token stays in the address: %s", shown)
	}
	b.eval(nil, "document.getElementById('why-id').focus()")
	b.write("X-Weir-Id: " + id)
	b.press("Enter")
	b.untilText("#why-answer", "Limit ip (5/h) had 0 left for 127.0.0.1, and the request wanted 1.")
	b.picture("serve", true)
	b.eval(nil, "[...document.querySelectorAll('#keys-rows button')].find(e => e.ariaLabel === 'Reset 127.0.0.1 under ip').click()")
	b.press("Tab", "Enter")
	b.until("the dialog closes", "!document.getElementById('confirm').open")
	if status, _ := ask(); status != 200 {
		t.Errorf("status %d after the reset", status)
	}
	b.untilText("#keys-rows", "127.0.0.1 ip 4 of 5")
	b.quiet()
}
