package doctor_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir/internal/doctor"
)

func report() *doctor.Report {
	return &doctor.Report{
		Schema: doctor.Schema, URL: "http://127.0.0.1/<a>", Limit: 5, Said: 5, Window: 2, Requests: 7, Seconds: 0.25,
		Passed: 1, Failed: 1, Untested: 1,
		Checks: []doctor.Check{
			{Name: "limit", What: "w", Outcome: doctor.Pass, Reason: "5 pass", Requests: 6},
			{Name: "isolation", What: "w", Outcome: doctor.Fail, Requests: 1,
				Reason: strings.Repeat("words ", 20) + "\x1b[2J", Cure: "do\nthis"},
			{Name: "restart", What: "w", Outcome: doctor.NotTested, Reason: "no command"},
		},
	}
}

// The table is for people: lines of at most 100 columns, and nothing in it that
// a terminal would act on.
func TestTable(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if err := report().Table(&b); err != nil {
		t.Fatal(err)
	}
	want := `pass        limit      5 pass
FAIL        isolation  words words words words words words words words words words words words words
                       words words words words words words words \x1b[2J
                       cure: do\nthis
not tested  restart    no command

1 passed, 1 failed, 1 not tested; 7 requests in 0.2 s
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &b, want)
	}
}

// The JSON is what weir doctor --help says.
func TestJSON(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if err := report().JSON(&b); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), `"url": "http://127.0.0.1/<a>"`) {
		t.Errorf("the URL is not as it was given:\n%s", &b)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(b.String()), &got); err != nil {
		t.Fatal(err)
	}
	checks := got["checks"].([]any)
	delete(got, "checks")
	want := map[string]any{
		"schema": 1.0, "url": "http://127.0.0.1/<a>", "limit": 5.0, "limit_said": 5.0, "window_seconds": 2.0, "requests": 7.0,
		"seconds": 0.25, "passed": 1.0, "failed": 1.0, "not_tested": 1.0,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if want := map[string]any{"check": "restart", "what": "w", "outcome": "not_tested", "reason": "no command", "requests": 0.0}; !reflect.DeepEqual(checks[2], want) {
		t.Errorf("got %v, want %v", checks[2], want)
	}
	if checks[1].(map[string]any)["cure"] != "do\nthis" {
		t.Errorf("%v has no cure", checks[1])
	}
}

// Only what is on this machine for certain counts as being there.
func TestLookup(t *testing.T) {
	t.Parallel()
	names := map[string][]netip.Addr{
		"localhost": {netip.IPv6Loopback(), netip.MustParseAddr("127.0.0.1")},
		"six":       {netip.IPv6Loopback()},
		"rebinding": {netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("203.0.113.7")},
		"far":       {netip.MustParseAddr("203.0.113.7")},
		"mapped":    {netip.MustParseAddr("::ffff:127.0.0.1")},
		"nothing":   nil,
	}
	resolve := func(_ context.Context, _, host string) ([]netip.Addr, error) {
		if addrs, ok := names[host]; ok {
			return addrs, nil
		}
		return nil, errors.New("no such host")
	}
	for _, tt := range []struct {
		url      string
		addr     string
		loopback bool
		err      string
	}{
		{url: "http://127.0.0.1", addr: "127.0.0.1:80", loopback: true},
		{url: "https://127.4.5.6/x", addr: "127.4.5.6:443", loopback: true},
		{url: "http://[::1]:8080", addr: "[::1]:8080", loopback: true},
		{url: "http://[::ffff:127.0.0.1]:8080", addr: "127.0.0.1:8080", loopback: true},
		{url: "http://203.0.113.7:1", addr: "203.0.113.7:1"},
		{url: "http://[2001:db8::1]", addr: "[2001:db8::1]:80"},
		{url: "http://localhost:3000", addr: "127.0.0.1:3000", loopback: true},
		{url: "http://six", addr: "[::1]:80", loopback: true},
		{url: "http://rebinding", addr: "127.0.0.1:80"},
		{url: "http://far", addr: "203.0.113.7:80"},
		{url: "http://mapped", addr: "127.0.0.1:80", loopback: true},
		{url: "http://nothing", err: `the host "nothing" has no address`},
		{url: "http://unknown", err: "no such host"},
		{url: "http://0.0.0.0:80", err: "0.0.0.0 is no address of a server"},
		{url: "http://[::]:80", err: ":: is no address of a server"},
		{url: "http://127.0.0.1:0", err: `port "0": want 1 to 65535`},
		{url: "http://127.0.0.1:65536", err: `port "65536": want 1 to 65535`},
	} {
		u, err := url.Parse(tt.url)
		if err != nil {
			t.Fatal(err)
		}
		addr, loopback, err := doctor.Lookup(t.Context(), u, resolve)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: %v, want %q", tt.url, err, tt.err)
			}
			continue
		}
		if err != nil || addr.String() != tt.addr || loopback != tt.loopback {
			t.Errorf("%s: %v, %v, %v: want %s, %v", tt.url, addr, loopback, err, tt.addr, tt.loopback)
		}
	}
}
