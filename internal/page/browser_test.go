package page_test

import (
	"fmt"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/internal/adminapi"
	"github.com/seed-0c889b51/weir/internal/adminfake"
	"github.com/seed-0c889b51/weir/internal/page"
)

const token = "the-token-of-the-test"

// hostile is what a client may have as its key.
const hostile = "<img src=x onerror=alert(1)>\u202e\x1b[2J"

// busy is a server with something to see.
func busy() *adminfake.Server {
	started := time.Now().Add(-2*time.Hour - 13*time.Minute)
	s := &adminfake.Server{Token: token, Every: 30 * time.Millisecond, Page: page.Handler()}
	passed := make([]uint64, 10_000) // requests until a second
	for i := range len(passed) - 1 {
		passed[i+1] = passed[i] + uint64(40+25*math.Sin(float64(i)/6)+float64(i*i%7))
	}
	s.Status = func(n int) adminapi.Status {
		saved := time.Now().Add(-3 * time.Second)
		return adminapi.Status{
			Version: "v1.2.3", Started: started, UptimeMs: 7_980_000 + int64(n)*1000,
			Listen: "http://127.0.0.1:8080", Upstreams: []string{"http://127.0.0.1:3000", "/api to http://127.0.0.1:4000"},
			State: adminapi.State{Path: "/var/lib/weir/weir.db", LastSaved: &saved, AgeMs: 3000},
			Policies: []adminapi.Policy{
				{Name: "ip", Limit: "100/min", Key: "ip", Asked: 120_012 + passed[n%len(passed)] + 3*uint64(n/9), Allowed: 117_000 + passed[n%len(passed)], Denied: 3012 + 3*uint64(n/9), KeysInMemory: 1204, PeakUse: 1},
				{Name: "user", Limit: "1000/day burst 50", Key: "user", Scope: "POST /api/", Asked: 4100 + uint64(n), Allowed: 4100 + uint64(n), Missing: 12, KeysInMemory: 31, PeakUse: 0.34,
					Shadow: &adminapi.Shadow{Limit: "500/day", WouldDeny: 212}},
				{Name: "path", Limit: "10/s", Key: "path", DryRun: true, Asked: 4100, Allowed: 4000, Denied: 100, KeysInMemory: 12, PeakUse: 1},
				{Name: "header:X-Api-Key", Limit: "10/s", Key: "header:X-Api-Key"},
			},
			Warnings: []adminapi.Warning{{ID: "untrusted", At: started, Text: "X-Forwarded-For comes from 10.0.0.5, which is not trusted: all behind it count as one client.", Cure: "start weir with --trust 10.0.0.5 if that is your proxy"}},
			Health:   []adminapi.Health{{ID: "never", Level: adminapi.LevelInfo, Text: "Limit header:X-Api-Key has not been consulted for 2 h.", Cure: "see whether your clients send X-Api-Key, or drop the limit"}},
		}
	}
	keys := []adminapi.Key{
		{Key: "203.0.113.7", Policy: "ip", Remaining: 0, Burst: 100, RetryAfterMs: 41_000, ResetAfterMs: 101_000},
		{Key: hostile, Policy: "path", Remaining: 1, Burst: 10, ResetAfterMs: 900},
		{Key: "2001:db8:1:2::/64", Policy: "ip", Remaining: 17, Burst: 100, ResetAfterMs: 50_000},
		{Key: "bearer 3f9a1c", Policy: "user", Remaining: 33, Burst: 50, ResetAfterMs: 4_000_000},
	}
	for i := range 6 {
		keys = append(keys, adminapi.Key{Key: fmt.Sprintf("198.51.100.%d", i+1), Policy: "ip", Remaining: 80 + 3*i, Burst: 100, ResetAfterMs: int64(12_000 - 1800*i)})
	}
	s.SetKeys(keys...)
	s.Denials = []adminapi.Denial{{ID: "abc123", At: time.Now().Add(-10 * time.Second), Method: "GET", Path: "/api/" + hostile, Policy: "ip", Limit: "100/min", Key: "203.0.113.7", Cost: 1, Remaining: 0, RetryAfterMs: 51_000, ResetAfterMs: 101_000}}
	return s
}

// serve serves the page and returns where, with a note of each request that came.
func serve(t *testing.T, s *adminfake.Server) (url string, asked func() []string) {
	t.Helper()
	var mu sync.Mutex
	var seen []string
	handler := s.Handler()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen = append(seen, r.Method+" "+r.URL.Path)
		mu.Unlock()
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	return server.URL, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(seen)
	}
}

// quiet fails the test if the console told of an error, such as something that
// the policy of the page stopped.
func (b *browser) quiet() {
	b.t.Helper()
	for _, said := range b.errors() {
		b.t.Errorf("the console: %s", said)
	}
}

// unlock gives the page the token.
func (b *browser) unlock() {
	b.t.Helper()
	b.eval(nil, "document.getElementById('token').focus()")
	b.write(token)
	b.press("Enter")
	b.untilText("#keys-rows", "203.0.113.7")
}

// With WEIR_PICTURES=DIR it leaves pictures of what it looked at there.
func TestFitsAPhoneAndADesk(t *testing.T) {
	t.Parallel()
	b := open(t)
	url, _ := serve(t, busy())
	for _, view := range []struct {
		width, height int
		scheme        string
	}{{1280, 900, "light"}, {1280, 900, "dark"}, {390, 844, "light"}, {390, 844, "dark"}, {320, 600, "light"}} {
		b.show(url, view.width, view.height, view.scheme)
		name := fmt.Sprintf("%d-%s", view.width, view.scheme)
		b.untilText("#link", "live")
		b.until("a minute has been drawn", "document.querySelectorAll('.strip .edge')[0]?.getAttribute('d')?.split('L').length >= 60")
		b.picture(name+"-locked", true)
		b.unlock()
		b.eval(nil, "document.getElementById('why-id').value = 'X-Weir-Id: abc123'; document.getElementById('why-form').requestSubmit()")
		b.untilText("#why-answer", "203.0.113.7")
		b.eval(nil, "document.getElementById('sample').click()")
		b.untilText("#hurt", "192.0.2.66")
		b.picture(name, true)
		var beyond []string
		b.eval(&beyond, fmt.Sprintf(`[...document.querySelectorAll('body *')].filter(e => e.checkVisibility() && e.getBoundingClientRect().right > %d + 1 && !e.closest('.unseen, thead, bdi')).map(e => e.tagName + '#' + e.id)`, view.width))
		var wide int
		b.eval(&wide, "document.documentElement.scrollWidth")
		if wide > view.width || len(beyond) > 0 {
			t.Errorf("%s: the page is %d wide, and beyond the edge are %q", name, wide, beyond)
		}
		b.eval(nil, "document.querySelector('#keys-rows button').click()")
		b.picture(name+"-confirm", false)
		b.eval(nil, "document.getElementById('confirm').close(); sessionStorage.clear()")
	}
	b.quiet()
}

// While numbers change nothing moves, and what is shown is what the server said.
func TestLive(t *testing.T) {
	t.Parallel()
	b := open(t)
	s := busy()
	calm := s.Status
	s.Status = func(n int) adminapi.Status { // numbers of all lengths
		st := calm(n)
		st.UptimeMs, st.State.AgeMs = 40_000+int64(n)*1000, int64(n%130)*1000
		allowed, many := uint64(0), uint64(1)
		for i := range n {
			many = []uint64{1, 10, 1000, 100_000, 10_000_000}[i%5]
			allowed += many
		}
		for i := range st.Policies {
			p := &st.Policies[i]
			p.PeakUse, p.KeysInMemory, p.Missing, p.Evicted = float64(n*7%101)/100, int(many), many, allowed
		}
		st.Policies[0].Asked, st.Policies[0].Allowed, st.Policies[0].Denied = 2*allowed, allowed, allowed
		st.Policies[1].Shadow.WouldDeny = many
		return st
	}
	url, _ := serve(t, s)
	b.show(url, 1280, 900, "light")
	b.untilText("#health-list", "Cure start weir with --trust 10.0.0.5")
	b.untilText("#limit-list", "ip: 100/min")
	b.unlock()
	b.eval(nil, `(() => {
		window.shifts = []
		new PerformanceObserver(list => { for (const e of list.getEntries()) shifts.push(e.value) }).observe({ type: 'layout-shift' })
	})()`)
	first := b.text("#limit-list li dd")
	b.until("the count of the first limit grows", fmt.Sprintf("document.querySelector('#limit-list li dd').innerText !== %q", first))
	b.until("forty seconds are drawn", "document.querySelectorAll('.strip .edge')[0].getAttribute('d').split('L').length > 40")
	var shifts []float64
	b.eval(&shifts, "window.shifts")
	if len(shifts) > 0 {
		t.Errorf("what is shown moved by %v as numbers changed", shifts)
	}
	for selector, want := range map[string]string{
		"#version":                     "v1.2.3",
		"#server":                      "State /var/lib/weir/weir.db Saved",
		"#limit-list li:nth-child(2)":  "The candidate 500/day would have denied",
		"#limit-list li:nth-child(3)":  "dry run",
		"#limit-list li:nth-child(4)":  "Never consulted",
		"#health-list li:nth-child(1)": "Warning",
		"#keys-rows tr:nth-child(1)":   "0 of 100 free again in",
	} {
		if got := b.text(selector); !strings.Contains(got, want) {
			t.Errorf("%s says %q, want %q in it", selector, got, want)
		}
	}
	b.quiet()
}

// A key is what a client sends. It is text, wherever it is shown.
func TestHostileKeysAreText(t *testing.T) {
	t.Parallel()
	b := open(t)
	s := busy()
	url, _ := serve(t, s)
	b.show(url, 1280, 900, "light")
	b.untilText("#link", "live")
	b.unlock()
	b.eval(nil, "document.getElementById('why-id').value = 'abc123'; document.getElementById('why-form').requestSubmit()")
	b.untilText("#why-answer", `/api/<img src=x onerror=alert(1)>\u{202e}\u{1b}[2J`)
	b.untilText("#keys-rows", `<img src=x onerror=alert(1)>\u{202e}\u{1b}[2J`)
	var images int
	b.eval(&images, "document.querySelectorAll('main img').length")
	if images != 0 {
		t.Errorf("a key has become %d images", images)
	}
	var stopped string
	b.eval(&stopped, "(() => { try { document.body.innerHTML = '<p>x'; return 'no' } catch (e) { return e.name } })()")
	if stopped != "TypeError" {
		t.Errorf("making HTML of text is not stopped by the policy: %s", stopped)
	}
	// The key goes back to the server as it came.
	b.eval(nil, "document.querySelectorAll('#keys-rows button')[1].click()")
	b.untilText("#confirm", `<img src=x onerror=alert(1)>\u{202e}`)
	b.eval(nil, "document.getElementById('confirm-yes').click()")
	b.until("the dialog closes", "!document.getElementById('confirm').open")
	if got := s.Resets(); len(got) != 1 || got[0] != (adminapi.Reset{Policy: "path", Key: hostile}) {
		t.Errorf("resets: %q", got)
	}
}

// Everything can be done without a mouse.
func TestKeyboard(t *testing.T) {
	t.Parallel()
	b := open(t)
	s := busy()
	url, _ := serve(t, s)
	b.show(url, 1280, 900, "dark")
	b.untilText("#link", "live")
	b.tabTo("#token")
	b.write("not the token")
	b.press("Enter")
	b.untilText("#token-error", "That is not the token of this server.")
	b.unlock()
	b.tabTo("#keys-rows tr:first-child button")
	var ring string
	b.eval(&ring, "getComputedStyle(document.activeElement).outlineStyle + ' ' + getComputedStyle(document.activeElement).outlineWidth")
	if ring != "solid 3px" {
		t.Errorf("what has the focus is marked by %q", ring)
	}
	b.press("Enter")
	b.until("it is asked whether that is meant", "document.getElementById('confirm').open")
	b.press("Enter") // the focus is on Cancel
	b.until("the dialog closes", "!document.getElementById('confirm').open")
	if got := s.Resets(); len(got) != 0 {
		t.Fatalf("Cancel has reset %q", got)
	}
	b.until("the focus is where it was", "document.activeElement.matches('#keys-rows tr:first-child button')")
	b.press("Enter", "Tab", "Enter")
	b.until("the dialog closes", "!document.getElementById('confirm').open")
	if got := s.Resets(); len(got) != 1 || got[0] != (adminapi.Reset{Policy: "ip", Key: "203.0.113.7"}) {
		t.Fatalf("resets: %q", got)
	}
	// While the focus is in the table no row takes the place of another.
	b.until("its row stays, marked", "document.querySelector('#keys-rows tr').matches('.gone')")
	b.tabTo("#why-id")
	b.until("it goes when the focus does", "!document.getElementById('keys-rows').innerText.includes('203.0.113.7')")
	b.write("no-such-id")
	b.press("Enter")
	b.untilText("#why-answer", "There is no denial with the id no-such-id.")
	b.tabTo("#sample")
	b.press(" ")
	b.untilText("#sim-sums", "3,696 of 30,022")
	b.tabTo("#burst-drag")
	b.press("ArrowRight")
	b.until("the burst is the next", "document.getElementById('line').innerText === \"--limit 'ip 100/min burst 150'\"")
	b.tabTo("#fits button:nth-child(3)")
	b.press("Enter")
	b.until("the burst is the one chosen", "document.getElementById('line').innerText === \"--limit 'ip 100/min burst 26'\"")

	var kept struct {
		Local, Session int
		Cookie         string
	}
	b.eval(&kept, "({local: localStorage.length, session: sessionStorage.length, cookie: document.cookie})")
	if kept.Local != 0 || kept.Session != 1 || kept.Cookie != "" {
		t.Errorf("the token is kept as %+v", kept)
	}
	var nameless []string
	b.eval(&nameless, `[...document.querySelectorAll('input, select, button')].filter(e => !e.labels?.length && !e.getAttribute('aria-label') && !e.innerText.trim()).map(e => e.id || e.outerHTML)`)
	if len(nameless) > 0 {
		t.Errorf("controls without a name: %q", nameless)
	}
}

// A server that others can reach says nothing without its token.
func TestGuardedServer(t *testing.T) {
	t.Parallel()
	b := open(t)
	s := busy()
	s.Guard = true
	url, _ := serve(t, s)
	b.show(url, 390, 844, "dark")
	b.untilText("#token-error", "This server says nothing without its token.")
	b.untilText("#link", "refused")
	b.tabTo("#token")
	b.write("another")
	b.press("Enter")
	b.untilText("#token-error", "That is not the token of this server.")
	b.unlock()
	b.untilText("#link", "live")
	b.untilText("#limit-list", "ip: 100/min")
}

// A stream that is dead without an end is given up, and another one begun.
func TestStalledStream(t *testing.T) {
	t.Parallel()
	b := open(t)
	s := busy()
	running := s.Status
	stalled := make(chan struct{})
	s.Status = func(n int) adminapi.Status {
		if n == 5 {
			<-stalled
		}
		st := running(n)
		st.Version = fmt.Sprintf("v%d", n)
		return st
	}
	url, _ := serve(t, s)
	t.Cleanup(func() { close(stalled) }) // before the server waits for who is
	b.show(url, 1280, 900, "light")
	b.untilText("#version", "v4") // the last before it stalls
	b.eval(nil, "(() => { const now = performance.now.bind(performance); performance.now = () => now() + 20000 })()")
	b.untilText("#link", "no news for")
	b.untilText("#link", "live")
}

// When the server stops the page says so, and goes on when it is back.
func TestServerComesBack(t *testing.T) {
	t.Parallel()
	b := open(t)
	s := busy()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serve := func(l net.Listener) *httptest.Server {
		server := &httptest.Server{Listener: l, Config: &http.Server{Handler: s.Handler()}}
		server.Start()
		return server
	}
	server := serve(listener)
	b.show(server.URL, 1280, 900, "light")
	b.untilText("#link", "live")
	server.CloseClientConnections()
	server.Close()
	b.untilText("#link", "no news for")
	if listener, err = net.Listen("tcp", listener.Addr().String()); err != nil {
		t.Skipf("skipped: another process took the port: %v", err)
	}
	server = serve(listener)
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	b.untilText("#link", "live")
}
