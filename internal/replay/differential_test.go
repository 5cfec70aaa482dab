package replay

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/seed-0c889b51/weir/internal/policy"
)

func parsePolicies(t testing.TB, texts ...string) []policy.Policy {
	t.Helper()
	policies, err := policy.ParseList(texts...)
	if err != nil {
		t.Fatal(err)
	}
	return policies
}

// A plain request is a line as a reader of its own understands it.
type plainRequest struct {
	line   int64
	at     time.Time
	client string
	user   string
	path   string
}

var plainLine = regexp.MustCompile(`^(\S+) \S+ (.+?) \[([^\]]+)\] "([^"]*)"`)

// plainRequests reads a log in the simplest way, in the order of its times.
func plainRequests(t testing.TB, log []byte) []plainRequest {
	t.Helper()
	var all []plainRequest
	for i, line := range strings.Split(strings.TrimSuffix(string(log), "\n"), "\n") {
		m := plainLine.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("line %d is none: %q", i+1, line)
		}
		at, err := time.Parse("02/Jan/2006:15:04:05 -0700", m[3])
		if err != nil {
			t.Fatal(err)
		}
		q := plainRequest{line: int64(i + 1), at: at, client: m[1], user: m[2]}
		if words := strings.Fields(m[4]); len(words) > 1 {
			q.path, _, _ = strings.Cut(words[1], "?")
		}
		all = append(all, q)
	}
	slices.SortStableFunc(all, func(a, b plainRequest) int { return a.at.Compare(b.at) })
	return all
}

// plainKey is the key of a request by one part of a key.
func plainKey(p policy.Policy, q plainRequest) string {
	var key []string
	for _, part := range p.Key {
		switch {
		case part.Kind == policy.Path:
			key = append(key, "path "+q.path)
		case part.Kind == policy.Global:
			key = append(key, "all")
		case part.Kind == policy.User && q.user != "-":
			key = append(key, "user "+q.user)
		default:
			client := q.client
			if addr, err := netip.ParseAddr(client); err == nil && addr.Is6() {
				prefix, _ := addr.Prefix(64)
				client = prefix.String()
			}
			key = append(key, client)
		}
	}
	return strings.Join(key, " and ")
}

// simulate decides about requests by a plain rate.Limiter of each key: with
// several limits, by asking all of them before any is charged.
func simulate(policies []policy.Policy, requests []plainRequest) map[int64]bool {
	limiters := make([]map[string]*rate.Limiter, len(policies))
	decided := map[int64]bool{}
	for _, q := range requests {
		allowed := true
		var ask []*rate.Limiter
		for i, p := range policies {
			if limiters[i] == nil {
				limiters[i] = map[string]*rate.Limiter{}
			}
			key := plainKey(p, q)
			l := limiters[i][key]
			if l == nil {
				refilled := p.Limit.Quota
				if p.Limit.Strict {
					refilled -= p.Limit.Burst
				}
				l = rate.NewLimiter(rate.Limit(float64(refilled)/p.Limit.Window.Seconds()), p.Limit.Burst)
				limiters[i][key] = l
			}
			ask = append(ask, l)
		}
		if len(ask) == 1 {
			decided[q.line] = ask[0].AllowN(q.at, 1)
			continue
		}
		for _, l := range ask {
			allowed = allowed && l.TokensAt(q.at) > 1-1e-9
		}
		for _, l := range ask {
			if allowed && !l.AllowN(q.at, 1) {
				panic("asked, and then not there")
			}
		}
		decided[q.line] = allowed
	}
	return decided
}

// agree replays a log and holds each decision against the plain simulation.
func agree(t *testing.T, log []byte, texts ...string) (requests, denied int) {
	t.Helper()
	policies := parsePolicies(t, texts...)
	plain := plainRequests(t, log)
	want := simulate(policies, plain)
	seen := map[int64]bool{}
	var last int64
	cfg := Config{Limits: policies, decided: func(line, at int64, allowed, _ bool) {
		if at < last {
			t.Fatalf("line %d is decided at %d, after %d", line, at, last)
		}
		last = at
		if seen[line] {
			t.Fatalf("line %d is decided twice", line)
		}
		seen[line] = true
		if allowed != want[line] {
			t.Errorf("%v: line %d is allowed %v, by a plain rate.Limiter %v", texts, line, allowed, want[line])
		}
		if !allowed {
			denied++
		}
	}}
	result, err := Run(t.Context(), cfg, Source{Name: "log", Reader: bytes.NewReader(log)})
	if err != nil {
		t.Fatal(err)
	}
	if len(seen) != len(plain) || result.Present.Denied != int64(denied) || result.Lines.Late != 0 {
		t.Errorf("%v: %d of %d lines decided, %d denied, the result says %d, %d late", texts, len(seen), len(plain), denied, result.Present.Denied, result.Lines.Late)
	}
	return len(seen), denied
}

// Each line of a log, of which the times are those of a real one, is decided as
// a plain rate.Limiter of its key does. Its lines are not in order.
func TestAgreesWithRateLimiter(t *testing.T) {
	t.Parallel()
	log, err := os.ReadFile("testdata/access.log")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		limits []string
		denies bool
	}{
		{[]string{"ip 100/min"}, false},
		{[]string{"ip 10/min"}, true},
		{[]string{"ip 5/min burst 2"}, true},
		{[]string{"ip 1/s"}, true},
		{[]string{"ip 10/min strict"}, true},
		{[]string{"user 20/day burst 5"}, true},
		{[]string{"ip 7/37s burst 3"}, true},
		{[]string{"global 60/h"}, true},
		{[]string{"path 3/h"}, true},
		{[]string{"ip+path 1/h"}, true},
		{[]string{"ip 10/min", "user 30/day", "global 90/h"}, true},
		{[]string{"ip 5/min burst 1", "path 2/h", "ip 1/s"}, true},
	} {
		n, denied := agree(t, log, tt.limits...)
		if n != 500 || tt.denies != (denied > 0) {
			t.Errorf("%v: %d requests, %d denied: want 500, and denials %v", tt.limits, n, denied, tt.denies)
		}
	}
}

// So is each line of a log that is made up, of more keys than fit into a chunk,
// with IPv6 networks and users, and times that go back by less than a minute.
func TestAgreesWithRateLimiterOnMadeUpLogs(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	var log bytes.Buffer
	at := time.Date(2024, 2, 29, 23, 50, 0, 0, time.UTC)
	for range 40_000 {
		at = at.Add(time.Duration(random.IntN(200)) * time.Millisecond)
		shown := at.Add(-time.Duration(random.IntN(55)) * time.Second).In(time.FixedZone("", 3600*random.IntN(5)))
		client := fmt.Sprintf("192.0.2.%d", random.IntN(200))
		if random.IntN(4) == 0 {
			client = fmt.Sprintf("2001:db8:0:%x::%x", random.IntN(50), random.IntN(1000)+1)
		}
		user := "-"
		if random.IntN(3) == 0 {
			user = fmt.Sprintf("user %d", random.IntN(300))
		}
		fmt.Fprintf(&log, "%s - %s [%s] \"GET /a/%d?q=%d HTTP/1.1\" 200 5\n", client, user, shown.Format("02/Jan/2006:15:04:05 -0700"), random.IntN(40), random.IntN(9))
	}
	for _, limits := range [][]string{{"ip 2/min burst 3"}, {"user 1/30s burst 2"}, {"ip 3/min", "user 60/h", "path 15/min burst 9"}} {
		if n, denied := agree(t, log.Bytes(), limits...); n != 40_000 || denied == 0 || denied == n {
			t.Errorf("%v: %d requests, %d denied", limits, n, denied)
		}
	}
}

// The log that this names, if any, is held against the simulation too.
func TestAgreesOnAGivenLog(t *testing.T) {
	path := os.Getenv("WEIR_REPLAY_LOG")
	if path == "" {
		t.Skip("WEIR_REPLAY_LOG names no log")
	}
	log, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, limits := range [][]string{{"ip 100/min"}, {"ip 20/min"}, {"ip 10/min"}, {"ip 5/min burst 2"}, {"ip 1/s"}, {"user 100/day burst 20"}, {"ip 10/min", "user 100/day"}} {
		n, denied := agree(t, log, limits...)
		t.Logf("%v: %d lines, %d denied, all as decided by rate.Limiter", limits, n, denied)
	}
}
