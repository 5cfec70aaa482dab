package page_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
)

// A request is a line of a log.
type request struct {
	at           time.Time
	client, user string
	target       string
}

// targets are what is asked for, each with the path that weir knows it by.
var targets = [][2]string{
	{"/p/1?q=1", "/p/1"}, {"//p//1", "/p/1"}, {"/p/%31/", "/p/1"}, {"/p/../p/./1;x=1", "/p/1"}, {"/p/2#x", "/p/2"}, {"http://host/p/2", "/p/2"}, {"/p/3", "/p/3"},
	{"/caf%C3%A9", "/caf\u00e9"}, {"/%zz", "/%zz"}, {"/a.b/c..d", "/a.b/c..d"}, {"/", "/"}, {"/..", "/"}, {"*", "/*"},
}

// traffic makes up the requests of some hundred clients, some of whom come in
// bursts, in the order of a log: nearly that of the time.
func traffic(n int, precision time.Duration) []request {
	r := rand.New(rand.NewPCG(6, 7))
	clients := []string{"203.0.113.7", "::ffff:203.0.113.7", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "fe80::1"}
	for i := range 300 {
		clients = append(clients, fmt.Sprintf("198.51.%d.%d", i%3, i%250))
	}
	at := time.Date(2026, 2, 27, 22, 59, 0, 0, time.UTC)
	var list []request
	for len(list) < n {
		client := clients[int(float64(len(clients))*r.Float64()*r.Float64())]
		user := ""
		if r.IntN(3) == 0 {
			user = fmt.Sprintf("user %d", r.IntN(20))
		}
		for range 1 + r.IntN(12) {
			list = append(list, request{at.Add(time.Duration(r.Int64N(int64(2 * time.Second)))).Truncate(precision), client, user, targets[r.IntN(len(targets))][0]})
			at = at.Add(time.Duration(r.Int64N(int64(400 * time.Millisecond))))
		}
	}
	return list[:n]
}

// combined writes them as nginx and Apache do, in a zone that is not UTC.
func combined(list []request) []byte {
	var b bytes.Buffer
	zone := time.FixedZone("", -(3*60+30)*60)
	for _, r := range list {
		user := r.user
		if user == "" {
			user = "-"
		}
		fmt.Fprintf(&b, "%s - %s [%s] \"GET %s HTTP/1.1\" 200 12 \"-\" \"a \\\" b\"\n", r.client, user, r.at.In(zone).Format("02/Jan/2006:15:04:05 -0700"), r.target)
	}
	return b.Bytes()
}

// caddy writes them as Caddy does.
func caddy(list []request) []byte {
	var b bytes.Buffer
	for _, r := range list {
		fmt.Fprintf(&b, `{"level":"info","ts":%d.%06d,"logger":"http.log.access","msg":"handled request","request":{"remote_ip":"192.0.2.1","client_ip":%q,"method":"GET","host":"a","uri":%q},"user_id":%q,"status":200}`+"\n",
			r.at.Unix(), r.at.Nanosecond()/1000, r.client, r.target, r.user)
	}
	return b.Bytes()
}

// key is what weir counts a request by.
func key(r request, kind string) string {
	addr := netip.MustParseAddr(r.client).Unmap()
	client := addr.String()
	if addr.Is6() {
		network, err := addr.Prefix(64)
		if err != nil {
			panic(err)
		}
		client = network.String()
	}
	path := targets[slices.IndexFunc(targets, func(t [2]string) bool { return t[0] == r.target })][1]
	switch kind {
	case "user":
		if r.user != "" {
			return "user " + r.user
		}
	case "path":
		return path
	case "ip+path":
		return client + " " + path
	case "global":
		return "all together"
	}
	return client
}

// An outcome is what the simulator shows of one.
type outcome struct {
	Denied, Hurt string
	Rows         []string // key, requests, denied
}

// want is the outcome of the engine, on a clock that the log moves.
func want(t *testing.T, list []request, kind string, limit bucket.Limit) outcome {
	t.Helper()
	rule, err := bucket.NewRule(limit)
	if err != nil {
		t.Fatal(err)
	}
	type client struct {
		key           string
		level         bucket.Level
		asked, denied int
	}
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b request) int { return a.at.Compare(b.at) })
	clients := map[string]*client{}
	var order []*client
	denied := 0
	for _, r := range list {
		name := key(r, kind)
		c := clients[name]
		if c == nil {
			c = &client{key: name, level: rule.Full()}
			clients[name] = c
			order = append(order, c)
		}
		c.asked++
		if !rule.Allow(&c.level, r.at.Sub(list[0].at.Add(-time.Hour)), 1) {
			c.denied++
			denied++
		}
	}
	keys := len(order)
	order = slices.DeleteFunc(order, func(c *client) bool { return c.denied == 0 })
	o := outcome{Denied: fmt.Sprintf("%d of %d", denied, len(list)), Hurt: fmt.Sprintf("%d of %d keys", len(order), keys), Rows: []string{}}
	slices.SortStableFunc(order, func(a, b *client) int { return b.denied - a.denied })
	for _, c := range order[:min(20, len(order))] {
		o.Rows = append(o.Rows, fmt.Sprintf("%s %d %d", c.key, c.asked, c.denied))
	}
	return o
}

// The simulator denies what the engine would have denied.
func TestSimulatorAgreesWithTheEngine(t *testing.T) {
	t.Parallel()
	b := open(t)
	url, asked := serve(t, busy())
	b.show(url, 1280, 900, "light")
	b.untilText("#link", "live")
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	coarse, fine := traffic(20_000, time.Second), traffic(20_000, time.Microsecond)
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	z.Write(combined(coarse))
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for _, log := range []struct {
		name string
		give func(path string)
		text []byte
		list []request
	}{
		{"combined.log", func(path string) { b.choose("#log", path) }, combined(coarse), coarse},
		{"combined.log.gz", func(path string) { b.drop("#drop", path) }, zipped.Bytes(), coarse},
		{"caddy.json", func(path string) { b.drop("#drop", path) }, caddy(fine), fine},
	} {
		log.give(write(log.name, log.text))
		b.untilText("#log-state", log.name+": 20,000 requests")
		b.untilText("#log-state", " stood behind later ones, and were put in order.")
		for _, tt := range []struct {
			kind, window string
			quota, burst int
			length       time.Duration
			strict       string // "" or the word
		}{
			{"ip", "min", 30, 30, 60, ""}, {"ip", "min", 7, 3, 60, ""}, {"ip", "h", 100, 10, 3600, ""}, {"user", "day", 1000, 50, 86400, ""},
			{"path", "s", 2, 2, 1, ""}, {"ip+path", "min", 10, 1, 60, ""}, {"global", "s", 3, 9, 1, ""}, {"ip", "s", 1000, 1000, 1, ""},
			{"ip", "min", 30, 3, 60, " strict"}, {"ip", "min", 31, 4, 60, " strict"}, {"user", "h", 100, 60, 3600, " strict"}, {"ip", "s", 1, 1, 1, " strict"}, {"ip", "day", 1, 1, 86400, " strict"},
		} {
			limit := bucket.Limit{Quota: tt.quota, Window: tt.length * time.Second, Burst: tt.burst, Strict: tt.strict != ""}
			line := fmt.Sprintf("--limit '%s %s'", tt.kind, limit)
			script := fmt.Sprintf(`(async () => {
				if (document.getElementById('strict').checked !== %t) document.getElementById('strict').click()
				for (const [name, value] of [['sim-key', %q], ['window', %q], ['quota', %d], ['burst', %d]]) {
					const e = document.getElementById(name)
					e.value = value
					e.dispatchEvent(new Event('input')); e.dispatchEvent(new Event('change'))
				}
				await new Promise(resolve => requestAnimationFrame(() => requestAnimationFrame(resolve)))
				const [denied, , hurt] = [...document.querySelectorAll('#sim-sums dd')].map(e => e.innerText.replaceAll(',', ''))
				const rows = [...document.querySelectorAll('#hurt tr')].map(tr => [...tr.children].slice(0, 3).map((e, i) => i > 0 ? e.innerText.replaceAll(',', '') : e.innerText).join(' '))
				return { denied, hurt, rows, line: document.getElementById('line').innerText }
			})()`, limit.Strict, tt.kind, tt.window, tt.quota, tt.burst)
			var got struct {
				outcome
				Line string
			}
			b.eval(&got, script)
			if got.Line != line {
				t.Errorf("the line is %q, want %q", got.Line, line)
			}
			if want := want(t, log.list, tt.kind, limit); fmt.Sprint(got.outcome) != fmt.Sprint(want) {
				t.Errorf("%s under %s:\n got %q\nwant %q", log.name, line, got.outcome, want)
			}
		}
	}
	for _, r := range asked() {
		if method, path, _ := strings.Cut(r, " "); method != "GET" || !(strings.HasPrefix(path, "/api/v1/") || len(path) < 14) {
			t.Errorf("the log has gone to the server: %s", r)
		}
	}
	b.quiet()
}

// What the parser makes of lines of all kinds.
func TestLogLines(t *testing.T) {
	t.Parallel()
	b := open(t)
	url, _ := serve(t, busy())
	b.show(url, 1280, 900, "light")
	b.untilText("#link", "live")
	for _, tt := range []struct{ why, line, want string }{
		{"combined", `203.0.113.7 - - [17/May/2015:10:05:03 +0000] "GET /a?b=c HTTP/1.1" 200 1 "-" "x"`, "2015-05-17T10:05:03.000Z 203.0.113.7  /a"},
		{"common", `203.0.113.7 - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 200 1`, "2015-05-17T10:05:03.000Z 203.0.113.7  /a"},
		{"a user with a space, and a zone east of Greenwich", `::1 - my self [01/Jan/2026:00:30:00 +0100] "GET / HTTP/1.1" 200 -`, "2025-12-31T23:30:00.000Z ::1 my self /"},
		{"a quote within the request", `1.2.3.4 - - [01/Jan/2026:00:00:00 +0000] "GET /\"x HTTP/1.1" 200 1`, `2026-01-01T00:00:00.000Z 1.2.3.4  /"x`},
		{"no request, as of a port scan", `1.2.3.4 - - [01/Jan/2026:00:00:00 +0000] "-" 400 0`, "2026-01-01T00:00:00.000Z 1.2.3.4  /"},
		{"an absolute target", `1.2.3.4 - - [01/Jan/2026:00:00:00 +0000] "GET http://a/b HTTP/1.1" 400 0`, "2026-01-01T00:00:00.000Z 1.2.3.4  /b"},
		{"a backslash is read as a slash by some servers", `1.2.3.4 - - [01/Jan/2026:00:00:00 +0000] "GET /a\\b;c/%5cd HTTP/1.1" 200 1`, "2026-01-01T00:00:00.000Z 1.2.3.4  /a/b/d"},
		{"bytes that are no UTF-8", `1.2.3.4 - - [01/Jan/2026:00:00:00 +0000] "GET /%ff HTTP/1.1" 200 1`, "2026-01-01T00:00:00.000Z 1.2.3.4  /\u00ff"},
		{"no month", `1.2.3.4 - - [01/Foo/2026:00:00:00 +0000] "GET / HTTP/1.1" 200 1`, "none"},
		{"cut off", `1.2.3.4 - - [01/Jan/2026:00:00:00 +0000] "GET /`, "none"},
		{"Caddy", `{"ts":1767225600.5,"request":{"remote_ip":"10.0.0.1","client_ip":"1.2.3.4","uri":"/a?b"},"user_id":"me"}`, "2026-01-01T00:00:00.500Z 1.2.3.4 me /a"},
		{"Caddy before client_ip", `{"ts":1767225600,"request":{"remote_addr":"1.2.3.4:5678","uri":"/"}}`, "2026-01-01T00:00:00.000Z 1.2.3.4:5678  /"},
		{"Caddy with another form of time", `{"ts":"2026-01-01T00:00:00Z","request":{"remote_ip":"1.2.3.4","uri":"/"}}`, "2026-01-01T00:00:00.000Z 1.2.3.4  /"},
		{"nginx with JSON", `{"time_iso8601":"2026-01-01T01:00:00+01:00","remote_addr":"1.2.3.4","remote_user":"-","request_uri":"/x"}`, "2026-01-01T00:00:00.000Z 1.2.3.4  /x"},
		{"Caddy says something else", `{"level":"info","ts":1767225600.5,"msg":"serving initial configuration"}`, "none"},
		{"no JSON", `{"ts":`, "none"},
		{"JSON with null", `{"ts":null,"request":null}`, "none"},
	} {
		line, err := json.Marshal(tt.line)
		if err != nil {
			t.Fatal(err)
		}
		var got string
		b.eval(&got, fmt.Sprintf(`import('/logs.js').then(m => { const r = m.parse(%s); return r === null ? 'none' : [new Date(r.at / 1e3).toISOString(), r.client, r.user, r.path].join(' ') })`, line))
		if got != tt.want {
			t.Errorf("%s: %s\n got %s\nwant %s", tt.why, tt.line, got, tt.want)
		}
	}
	for client, want := range map[string]string{
		"1.2.3.4": "1.2.3.4", "1.2.3.4:80": "1.2.3.4", "::ffff:1.2.3.4": "1.2.3.4", "::ffff:102:304": "1.2.3.4", "[::ffff:1.2.3.4]:80": "1.2.3.4",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "2001:db8::1": "2001:db8::/64", "[2001:DB8::1]:443": "2001:db8::/64", "::1": "::/64", "fe80::1%eth0": "fe80::/64",
		"host.example": "host.example", "1:2": "1:2", "1::2::3": "1::2::3", "2001:db8::12345": "2001:db8::12345", "unix:": "unix:",
	} {
		var got string
		b.eval(&got, fmt.Sprintf("import('/logs.js').then(m => m.clientKey(%q))", client))
		if got != want {
			t.Errorf("client %q is counted as %q, want %q", client, got, want)
		}
	}
}

// What is not read is told, with a line to look at.
func TestUnreadableLogs(t *testing.T) {
	t.Parallel()
	b := open(t)
	url, _ := serve(t, busy())
	b.show(url, 390, 844, "light")
	b.untilText("#link", "live")
	dir := t.TempDir()
	good := string(combined(traffic(3, time.Second)))
	for name, tt := range map[string]struct{ content, want string }{
		"empty.log":   {"", "empty.log has no request that could be read. It is empty."},
		"other.log":   {"hello\n<b>\u202e\n", "other.log has no request that could be read. 2 lines are of no known format, line 1 for one: hello"},
		"some.log":    {good + "<b>\u202e\n" + good, "some.log: 6 requests"},
		"crlf.log":    {strings.ReplaceAll(good, "\n", "\r\n"), "crlf.log: 3 requests"},
		"no-end.log":  {strings.TrimSuffix(good, "\n"), "no-end.log: 3 requests"},
		"long.log":    {good + strings.Repeat("x", 1<<20) + "\n", "long.log: 3 requests"},
		"broken.gz":   {"\x1f\x8bnot gzip", "broken.gz cannot be read"},
		"control.log": {strings.Replace(good, "/p", "/\x1b[2J\u202e", 1), "control.log: 3 requests"},
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
			t.Fatal(err)
		}
		b.choose("#log", path)
		b.untilText("#log-state", tt.want)
		if name == "some.log" {
			b.untilText("#log-state", `1 lines are of no known format, line 4 for one: <b>\u{202e}`)
		}
	}
	b.quiet()
}
