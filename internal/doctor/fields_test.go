package doctor_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/internal/doctor"
)

// header makes a header of lines.
func header(lines ...string) http.Header {
	h := http.Header{}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		h.Add(name, value)
	}
	return h
}

// The least of what an API says is its limit, whatever form it says it in.
func TestSaid(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		header   http.Header
		requests int
		window   time.Duration
	}{
		{header(), 0, 0},
		{header(`RateLimit-Policy: "ip";q=100;w=60`), 100, time.Minute},
		{header(`RateLimit-Policy: "ip";q=100;w=60, "user";q=1000;w=86400`), 100, time.Minute},
		{header(`RateLimit-Policy: "user";q=1000;w=86400`, `RateLimit-Policy: ip;q=100`), 100, 0},
		{header(`RateLimit-Policy: 100;w=60, 10;w=1`), 10, time.Second},
		{header(`RateLimit: limit=50, remaining=3, reset=5`), 50, 0},
		{header(`RateLimit-Limit: 100, 100;w=60`), 100, 0},
		{header(`X-RateLimit-Limit: 60`, `RateLimit-Limit: 50`), 50, 0},
		{header(`RateLimit-Policy: "ip";q=100;w=60`, `X-RateLimit-Limit: 60`), 100, time.Minute},
		{header(`RateLimit-Policy: ip q`), 0, 0},
		{header(`RateLimit-Policy: "ip";q=0;w=60`), 0, 0},
		{header(`RateLimit-Policy: "ip";q=999999999999;w=60`), 0, 0},
		{header(`RateLimit-Policy: "ip";q=5;w=-1`), 5, 0},
		{header(`RateLimit-Policy: ("ip");q=5`), 0, 0},
		{header(`X-RateLimit-Limit: many`), 0, 0},
	} {
		if requests, window := doctor.Said(tt.header); requests != tt.requests || window != tt.window {
			t.Errorf("%v: %d in %v, want %d in %v", tt.header, requests, window, tt.requests, tt.window)
		}
	}
}

// What a client could not read, or could not make sense of, is told.
func TestMalformed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		header http.Header
		want   string // "" if nothing is wrong
	}{
		{header(), ""},
		{header(`RateLimit-Policy: "ip";q=100;w=60`, `RateLimit: "ip";r=0;t=1`), ""},
		{header(`RateLimit-Policy: "ip";q=100;w=60;pk=:AAAA:, "n";q=5;qu="concurrent-requests"`, `RateLimit: ip;r=0`), ""},
		{header(`RateLimit-Policy: 100;w=60`, `RateLimit: limit=100, remaining=0, reset=1`), ""},
		{header(`RateLimit-Limit: 100, 100;w=60`, `RateLimit-Remaining: 0`, `RateLimit-Reset: 5`), ""},
		{header(`X-RateLimit-Limit: 100`, `X-RateLimit-Remaining: 0`, `X-RateLimit-Reset: Mon`), ""},
		{header(`RateLimit: "a";r=7;t=1, "b";r=0;t=1`), ""},
		{header(`RateLimit: "ip";r=1;t=1`), "a refusal says that 1 requests are left"},
		{header(`X-RateLimit-Remaining: 3`), "a refusal says that 3 requests are left"},
		{header(`RateLimit-Policy: `), "RateLimit-Policy: "},
		{header(`RateLimit-Policy: "ip";w=60`), "RateLimit-Policy: "},
		{header(`RateLimit-Policy: "ip";q=1.5`), "RateLimit-Policy: "},
		{header(`RateLimit-Policy: "ip";q=1;w=1.5`), "RateLimit-Policy: "},
		{header(`RateLimit-Policy: "ip";q=-1`), "RateLimit-Policy: "},
		{header(`RateLimit-Policy: -5;w=1`), "RateLimit-Policy: "},
		{header(`RateLimit-Policy: ?1;q=1`), "RateLimit-Policy: "},
		{header(`RateLimit-Policy: ("ip");q=1`), "RateLimit-Policy: "},
		{header(`RateLimit: "ip"`), "RateLimit: "},
		{header(`RateLimit: "ip";r=-1`), "RateLimit: "},
		{header(`RateLimit: "ip";r=0;t=soon`), "RateLimit: "},
		{header(`RateLimit: 5;r=0`), "RateLimit: "},
		{header(`RateLimit: ("ip");r=0`), "RateLimit: "},
		{header(`RateLimit: limit=100, remaining=none`), "RateLimit: "},
		{header(`RateLimit-Limit: x`), `RateLimit-Limit: "x" is not one whole number`},
		{header(`RateLimit-Remaining: 0`, `RateLimit-Remaining: 0`), "RateLimit-Remaining: "},
		{header(`X-RateLimit-Limit: -1`), "X-RateLimit-Limit: "},
	} {
		got := strings.Join(doctor.Malformed(tt.header), "; ")
		if tt.want == "" && got != "" || !strings.HasPrefix(got, tt.want) {
			t.Errorf("%v: %q, want %q", tt.header, got, tt.want)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	const date = "Date: Sun, 06 Nov 1994 08:49:37 GMT"
	for _, tt := range []struct {
		header http.Header
		wait   time.Duration
		why    string
	}{
		{header("Retry-After: 1"), time.Second, ""},
		{header("Retry-After: 86400"), 24 * time.Hour, ""},
		{header("Retry-After: Sun, 06 Nov 1994 08:49:47 GMT", date), 10 * time.Second, ""},
		{header(), 0, "there is no Retry-After"},
		{header("Retry-After: 1", "Retry-After: 2"), 0, "there are 2 lines"},
		{header("Retry-After: 0"), 0, "Retry-After is 0"},
		{header("Retry-After: "), 0, `Retry-After is ""`},
		{header("Retry-After: 1.5"), 0, `Retry-After is "1.5", which is neither`},
		{header("Retry-After: -1"), 0, `Retry-After is "-1", which is neither`},
		{header("Retry-After: 1s"), 0, `Retry-After is "1s", which is neither`},
		{header("Retry-After: 99999999999"), 0, `which is neither`},
		{header("Retry-After: Sun, 06 Nov 1994 08:49:47 UTC", date), 0, "which is neither"},
		{header("Retry-After: Sun, 06 Nov 1994 08:49:37 GMT", date), 0, "which is not later than"},
		{header("Retry-After: Sun, 06 Nov 1994 08:49:47 GMT"), 0, "there is no Date"},
	} {
		wait, why := doctor.RetryAfter(tt.header)
		if wait != tt.wait || (why == "") != (tt.why == "") || !strings.Contains(why, tt.why) {
			t.Errorf("%v: %v, %q: want %v, %q", tt.header, wait, why, tt.wait, tt.why)
		}
	}
}

// What an API sends cannot make the doctor panic, nor write on a terminal.
func FuzzFields(f *testing.F) {
	f.Add(`"ip";q=100;w=60`, `"ip";r=0;t=1`, "1")
	f.Add(`100;w=60`, `limit=100, remaining=0`, "Sun, 06 Nov 1994 08:49:37 GMT")
	f.Add("\x1b[2J", "(", "")
	f.Fuzz(func(t *testing.T, policy, limit, retry string) {
		h := http.Header{"Ratelimit-Policy": {policy}, "Ratelimit": {limit}, "Ratelimit-Limit": {limit}, "Retry-After": {retry}}
		if n, window := doctor.Said(h); n < 0 || window < 0 {
			t.Errorf("%d in %v", n, window)
		}
		wait, why := doctor.RetryAfter(h)
		if (wait > 0) != (why == "") {
			t.Errorf("%v, %q", wait, why)
		}
		var table strings.Builder
		r := doctor.Report{Checks: []doctor.Check{{Name: "x", Reason: why + strings.Join(doctor.Malformed(h), "; ")}}}
		if err := r.Table(&table); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsFunc(table.String(), func(r rune) bool { return r < ' ' && r != '\n' }) {
			t.Errorf("%q", &table)
		}
	})
}
