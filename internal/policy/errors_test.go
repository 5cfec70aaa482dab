package policy_test

import (
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir/internal/policy"
)

// Ends of messages that many share.
const (
	wantKey    = ": want ip, ip/BITS, user, header:NAME, cookie:NAME, bearer, basic, path, global, or several joined by '+', such as ip+path"
	wantLimit  = ": want QUOTA/WINDOW [burst N], such as 100/min"
	wantCount  = ": want a whole number from 1 to 2147483647"
	wantWindow = ": want s, min, h, day, week, or a duration such as 500ms or 1h30m"
	wantHeader = ": want letters, digits and !#$%&'*-.^`|~"
	wantCookie = ": want letters, digits and !#$%&'*-.^_`|~"
	wantBits   = ": want ip/BITS with the bits of an IPv6 network, 32 to 128, such as ip/48 (IPv4 counts by address)"
	oneDryRun  = ` (a dry run is one "dry-run", at the end)`
)

func TestParseErrors(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		// Something is missing.
		"":             `it is empty: want KEY LIMIT, such as "ip 100/min"`,
		" \t\n":        `it is empty: want KEY LIMIT, such as "ip 100/min"`,
		"100/min":      `"100/min" stands where the key should: want KEY LIMIT, such as "ip 100/min"`,
		"100/min ip":   `"100/min" stands where the key should: want KEY LIMIT, such as "ip 100/min"`,
		"ip":           `there is no limit after key "ip"` + wantLimit,
		"header:X-Key": `there is no limit after key "header:X-Key"` + wantLimit,
		"ip dry-run":   `there is no limit after key "ip"` + wantLimit,

		// The key is misspelt, or of another tool.
		"ipp 100/min":           `key "ipp"` + wantKey + `; did you mean "ip"?`,
		"usr 1000/day":          `key "usr"` + wantKey + `; did you mean "user"?`,
		"USRE 1/s":              `key "USRE"` + wantKey + `; did you mean "user"?`,
		"headers:X-Api-Key 1/s": `key "headers"` + wantKey + `; did you mean "header"?`,
		"cokie:s 1/s":           `key "cokie"` + wantKey + `; did you mean "cookie"?`,
		"paht 1/s":              `key "paht"` + wantKey + `; did you mean "path"?`,
		"globall 1/s":           `key "globall"` + wantKey + `; did you mean "global"?`,
		"ip+usr 1/s":            `key "usr"` + wantKey + `; did you mean "user"?`,
		"tenant 5/s":            `key "tenant"` + wantKey,
		"x 5/s":                 `key "x"` + wantKey,
		"* 10/s":                `key "*"` + wantKey,
		"off":                   `key "off"` + wantKey,
		"dry-run":               `key "dry-run"` + wantKey,
		"ip=100/min":            `key "ip=100/min"` + wantKey,
		"ip,path 5/s":           `key "ip,path"` + wantKey,
		"\xff\xfe 5/s":          `key "\xff\xfe"` + wantKey,
		"\x1b[2J 5/s":           `key "\x1b[2J"` + wantKey,
		"\u202eip 5/s":          `key "\u202eip"` + wantKey,

		// The name is missing, needless or not one.
		"header 5/s":                   `key "header" has no name: want header:NAME, such as header:X-Api-Key`,
		"header: 5/s":                  `key "header:" has no name: want header:NAME, such as header:X-Api-Key`,
		"cookie 5/s":                   `key "cookie" has no name: want cookie:NAME, such as cookie:session`,
		"ip: 100/min":                  `key "ip:": ip takes no name: want "ip"`,
		"ip:10.0.0.1 5/s":              `key "ip:10.0.0.1": ip takes no name: want "ip"`,
		"user:alice 5/s":               `key "user:alice": user takes no name: want "user"`,
		"path:/login 5/s":              `key "path:/login": path takes no name: want "path"`,
		"global:x 1/s":                 `key "global:x": global takes no name: want "global"`,
		"header:X-Äpi 5/s":             `header name "X-\u00c4pi"` + wantHeader,
		"header:a:b 5/s":               `header name "a:b"` + wantHeader,
		"header:a/b 5/s":               `header name "a/b"` + wantHeader,
		`header:"x" 5/s`:               `header name "\"x\""` + wantHeader,
		"header:\x7f 5/s":              `header name "\x7f"` + wantHeader,
		"header:X_Api_Key 5/s":         `header name "X_Api_Key": fields with a '_' in the name are dropped, since some servers take it for a '-': want another name`,
		"header:Host 5/s":              `header name "Host" is part of the connection, not of who sends the request: want another name`,
		"header:transfer-encoding 5/s": `header name "Transfer-Encoding" is part of the connection, not of who sends the request: want another name`,
		"cookie:a=b 5/s":               `cookie name "a=b"` + wantCookie,
		"cookie:a;b 5/s":               `cookie name "a;b"` + wantCookie,
		"cookie:\x00 5/s":              `cookie name "\x00"` + wantCookie,

		// The network is out of range, needless or not one.
		"ip/31 5/s":     `key "ip/31"` + wantBits,
		"ip/24 5/s":     `key "ip/24"` + wantBits,
		"ip/129 5/s":    `key "ip/129"` + wantBits,
		"ip/ 5/s":       `key "ip/"` + wantBits,
		"ip/064 5/s":    `key "ip/064"` + wantBits,
		"ip/6 4 5/s":    `key "ip/6"` + wantBits,
		"ip/24/48 5/s":  `key "ip/24/48"` + wantBits,
		"ip/min 5/s":    `key "ip/min"` + wantBits,
		"ip/48:a 5/s":   `key "ip/48:a": ip takes no name: want "ip"`,
		"path/48 5/s":   `key "path/48": path takes no network: want "path"`,
		"basic/48 5/s":  `key "basic/48": basic takes no network: want "basic"`,
		"cookie/48 5/s": `key "cookie/48": want cookie:NAME, such as cookie:session`,
		"ipp/48 5/s":    `key "ipp/48"` + wantKey + `; did you mean "ip"?`,
		"beare 5/s":     `key "beare"` + wantKey + `; did you mean "bearer"?`,
		"bearer:x 5/s":  `key "bearer:x": bearer takes no name: want "bearer"`,
		"basic:x 5/s":   `key "basic:x": basic takes no name: want "basic"`,

		// Joins.
		"+ 5/s":                          `key "+" has nothing on one side of a '+': want keys on both, such as ip+path`,
		"ip+ 5/s":                        `key "ip+" has nothing on one side of a '+': want keys on both, such as ip+path`,
		"+ip 5/s":                        `key "+ip" has nothing on one side of a '+': want keys on both, such as ip+path`,
		"ip++path 5/s":                   `key "ip++path" has nothing on one side of a '+': want keys on both, such as ip+path`,
		"ip + path 5/s":                  `key "ip +": want no space at a '+', such as ip+path`,
		"ip +path 5/s":                   `key "ip +path": want no space at a '+', such as ip+path`,
		"ip+ip 5/s":                      `key "ip+ip" has "ip" twice: want different keys`,
		"IP+path+ip 5/s":                 `key "IP+path+ip" has "ip" twice: want different keys`,
		"header:x-a+header:X-A 5/s":      `key "header:x-a+header:X-A" has "header:X-A" twice: want different keys`,
		"ip+ip/48 5/s":                   `key "ip+ip/48" has two networks of the client's address, of which one is in the other: want one`,
		"ip/56+path+ip/48 5/s":           `key "ip/56+path+ip/48" has two networks of the client's address, of which one is in the other: want one`,
		"ip/48+ip/48 5/s":                `key "ip/48+ip/48" has "ip/48" twice: want different keys`,
		"ip+global 5/s":                  `key "ip+global" joins global, which is the same for all requests: want it alone, or left out`,
		"global+path 5/s":                `key "global+path" joins global, which is the same for all requests: want it alone, or left out`,
		strings.Repeat("q", 99) + " 5/s": `key "` + strings.Repeat("q", 64) + `"...` + wantKey,

		// The limit.
		"ip 100":                       `limit "100"` + wantLimit + " or 1000/day burst 50",
		"ip unlimited":                 `limit "unlimited"` + wantLimit + " or 1000/day burst 50",
		"ip 100 per minute":            `limit "100 per minute"` + wantLimit + " or 1000/day burst 50",
		"ip 100/":                      `limit "100/": window ""` + wantWindow,
		"ip /min":                      `limit "/min": quota ""` + wantCount,
		"ip 0/min":                     `limit "0/min": quota "0"` + wantCount,
		"ip -1/min":                    `limit "-1/min": quota "-1"` + wantCount,
		"ip 1.5/min":                   `limit "1.5/min": quota "1.5"` + wantCount,
		"ip 1e3/min":                   `limit "1e3/min": quota "1e3"` + wantCount,
		"ip NaN/s":                     `limit "NaN/s": quota "nan"` + wantCount,
		"ip inf/s":                     `limit "inf/s": quota "inf"` + wantCount,
		"ip 2147483648/h":              `limit "2147483648/h": quota "2147483648"` + wantCount,
		"ip 100/fortnight":             `limit "100/fortnight": window "fortnight"` + wantWindow,
		"ip 100/367day":                `limit "100/367day": window "367day" is out of range: want at most 366 days`,
		"ip 100/0s":                    `limit "100/0s": bucket: window 0s is out of range: want more than 0s, at most 366 days (8784h0m0s)`,
		"ip 100/-1s":                   `limit "100/-1s": bucket: window -1s is out of range: want more than 0s, at most 366 days (8784h0m0s)`,
		"ip 2000000000/1ns":            `limit "2000000000/1ns": bucket: rate 2e+18 per second (quota 2000000000 in 1ns) is out of range: want at most 1e+09, one per nanosecond`,
		"ip 1/366day burst 1000":       `limit "1/366day burst 1000": bucket: burst 1000 at 1/366day takes 1003 years to refill: want at most 100`,
		"ip 100/min burst":             `limit "100/min burst": burst ""` + wantCount,
		"ip 100/min burst 0":           `limit "100/min burst 0": burst "0"` + wantCount,
		"ip 100/min burst x":           `limit "100/min burst x": burst "x"` + wantCount,
		"ip 100/min burst 5 burst 6":   `limit "100/min burst 5 burst 6": burst "5 burst 6"` + wantCount,
		"ip 100/min burts 5":           `limit "100/min burts 5": window "min burts 5"` + wantWindow,
		"ip 100/min, user 5/s":         `limit "100/min, user 5/s": window "min, user 5/s"` + wantWindow,
		"ip 100/min # all":             `limit "100/min # all": window "min # all"` + wantWindow,
		"ip 5/\u202es":                 `limit "5/\u202es": window "\u202es"` + wantWindow,
		"header:X Key 5/s":             `limit "Key 5/s": quota "key 5"` + wantCount,
		"ip 100/min dry run":           `limit "100/min dry run": window "min dry run"` + wantWindow + oneDryRun,
		"ip 100/min dryrun":            `limit "100/min dryrun": window "min dryrun"` + wantWindow + oneDryRun,
		"ip 100/min dry-run dry-run":   `limit "100/min dry-run": window "min dry-run"` + wantWindow + oneDryRun,
		"ip dry-run 100/min":           `limit "dry-run 100/min": quota "dry-run 100"` + wantCount + oneDryRun,
		"ip 100/min dry-run burst 200": `limit "100/min dry-run burst 200": window "min dry-run"` + wantWindow + oneDryRun,
	} {
		p, err := policy.Parse(text)
		if err == nil {
			t.Errorf("Parse(%q) = %+v, want the error %s", text, p, want)
			continue
		}
		if err.Error() != want {
			t.Errorf("Parse(%q):\n got %s\nwant %s", text, err, want)
		}
		if !reflectZero(p) {
			t.Errorf("Parse(%q) = %+v with its error, want the zero policy", text, p)
		}
	}
}

func reflectZero(p policy.Policy) bool {
	return p.Name == "" && p.Key == nil && p.Limit.Quota == 0 && !p.DryRun
}
