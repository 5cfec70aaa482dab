package httpmw_test

import (
	"math/rand/v2"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir/httpmw"
)

var (
	quotedText = regexp.MustCompile(`(?s)"(?:[^"\\]|\\.)*"`)
	escapes    = regexp.MustCompile(`(?s)\\(.)`)
	pairText   = regexp.MustCompile("(?s)^([-!#$%&'*+.^_`|~0-9A-Za-z]+)=(?:([-!#$%&'*+.^_`|~0-9A-Za-z]+)|\"((?:[^\"\\\\]|\\\\.)*)\")$")
	nodeText   = regexp.MustCompile(`(?s)^([^:]*|\[.*\])(?::[0-9]{1,5}|:_[-._0-9A-Za-z]+)?$`)
	obfPort    = regexp.MustCompile(`:_[-._0-9A-Za-z]+$`)
)

// oracleForwarded is the rule for Forwarded as one would say it, with regular
// expressions and no thought of bounds.
func oracleForwarded(peer string, lines []string, trusted func(string) bool) string {
	client := peer
	for len(lines) > 0 && trusted(client) {
		line := lines[len(lines)-1]
		lines = lines[:len(lines)-1]
		// What is quoted is taken out of the way, so that commas, semicolons and
		// blanks are where the line is to be taken apart.
		quoted := quotedText.FindAllString(line, -1)
		plain := quotedText.ReplaceAllString(line, `"`)
		if strings.Count(plain, `"`) != len(quoted) {
			return client
		}
		elements := strings.Split(plain, ",")
		for len(elements) > 0 && trusted(client) {
			last := elements[len(elements)-1]
			elements = elements[:len(elements)-1]
			mine := quoted[len(quoted)-strings.Count(last, `"`):]
			quoted = quoted[:len(quoted)-len(mine)]
			if strings.Trim(last, " \t") == "" {
				continue
			}
			var nodes []string
			for _, pair := range strings.Split(last, ";") {
				for range strings.Count(pair, `"`) {
					pair = strings.Replace(pair, `"`, "\x00", 1)
				}
				for strings.Contains(pair, "\x00") && len(mine) > 0 {
					pair, mine = strings.Replace(pair, "\x00", mine[0], 1), mine[1:]
				}
				if pair = strings.Trim(pair, " \t"); pair == "" {
					continue
				}
				m := pairText.FindStringSubmatch(pair)
				if m == nil {
					return client
				}
				if m[1] == "for" || lower(m[1]) == "for" {
					nodes = append(nodes, m[2]+escapes.ReplaceAllString(m[3], "$1"))
				}
			}
			if len(nodes) != 1 {
				return client
			}
			ip := oracleIP(obfPort.ReplaceAllString(nodes[0], ""))
			if ip == nil || !nodeText.MatchString(nodes[0]) {
				return client
			}
			client = netip.MustParseAddr(ip.String()).Unmap().String()
		}
	}
	return client
}

// checkForwarded holds the walk of Forwarded against the oracle.
func checkForwarded(t testing.TB, lines []string) string {
	t.Helper()
	r := &http.Request{Header: http.Header{"Forwarded": lines}, RemoteAddr: "192.0.2.1:1"}
	if got, _ := rfcIP.Addr(r); got != netip.MustParseAddr("192.0.2.1") {
		t.Fatalf("%q from a peer that is no proxy: %v", lines, got)
	}

	r.RemoteAddr = "10.0.0.1:1"
	got, ok := rfcIP.Addr(r)
	if !ok || got.Zone() != "" || got.Is4In6() {
		t.Fatalf("%q: %v, %v", lines, got, ok)
	}
	if bounded(lines) && !strings.Contains(strings.Join(lines, ""), "\x00") { // which net/http refuses
		want := oracleForwarded("10.0.0.1", lines, func(s string) bool { return ten.Contains(netip.MustParseAddr(s)) })
		if got.String() != want {
			t.Fatalf("%q: %v, want %s", lines, got, want)
		}
	}
	return got.String()
}

// Random lists of what is found in the field, good and bad.
func TestCheck_57_forwarded_differential(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	good := []string{"for=10.0.0.2", "For=10.0.0.3", `for="10.0.0.4:80"`, `for="[::ffff:10.0.0.5]"`, `proto=https;for=10.0.0.6;by=_x`,
		"for=203.0.113.7", `FOR="[2001:db8::1]:443"`, `for="203.0.113.8:_p";host="a,b"`, "", " "}
	bad := []string{"for=unknown", `for="_x"`, `for="`, `"`, `\`, `\"`, ";", "=", "for", "for=", `for="" `, "for=[::1]", "for=1.2.3.4:80",
		"proto=http", "for=203.0.113.9;for=203.0.113.9", `for="203.0.113.\7"`, `for="203.0.113.7\"`, "203.0.113.7", "for = 203.0.113.7",
		"for=203.0.113.7 ", `x="for=6.6.6.6`, `for="6.6.6.6, for=6.6.6.6"`, `for="2001:db8::1"`, `for="[2001:db8::1`, `f"or=1.2.3.4"`}
	found := map[string]int{}
	for range 20_000 {
		lines := make([]string, 1+rng.IntN(3))
		for i := range lines {
			var elements []string
			for range rng.IntN(6) {
				from := good
				if rng.IntN(4) == 0 {
					from = bad
				}
				elements = append(elements, from[rng.IntN(len(from))])
			}
			lines[i] = strings.Join(elements, []string{",", ", ", ";"}[rng.IntN(3)])
		}
		found[checkForwarded(t, lines)]++
	}
	for _, a := range []string{"10.0.0.1", "10.0.0.2", "10.0.0.6", "203.0.113.7", "203.0.113.8", "203.0.113.9", "2001:db8::1"} {
		if a != "203.0.113.9" && found[a] < 100 || a == "203.0.113.9" && found[a] > 0 {
			t.Errorf("%s was found %d times: the lists are all alike", a, found[a])
		}
	}
}

func FuzzForwarded(f *testing.F) {
	for _, s := range []string{"", "for=203.0.113.7", `for=6.6.6.6, For="[2001:db8::7]:443";proto=https`, `for="203.0.113.7, for=6.6.6.6`,
		"for=6.6.6.6\nfor=203.0.113.7, for=10.0.0.2", `for="\"", for="203\.0.113.7:_x";a="\\"`, `a\"b=c, for=1.2.3.4`, `for="::ffff:10.0.0.2%x"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, lines string) { checkForwarded(t, strings.Split(lines, "\n")) })
}

// FuzzHops holds the count of hops against a list that is taken apart at once.
func FuzzHops(f *testing.F) {
	f.Add("6.6.6.6, 203.0.113.7, 10.0.0.2", byte(2))
	f.Add(", ,\n203.0.113.7,\n\t", byte(1))
	f.Add("garbage", byte(1))
	f.Fuzz(func(t *testing.T, text string, hops byte) {
		n := 1 + int(hops)%8
		lines := strings.Split(text, "\n")
		if !bounded(lines) {
			return
		}
		want := "10.0.0.1"
		var elements []string
		for _, e := range strings.Split(strings.Join(lines, ","), ",") {
			if e = strings.Trim(e, " \t"); e != "" {
				elements = append(elements, e)
			}
		}
		if len(elements) >= n {
			if ip := oracleIP(elements[len(elements)-n]); ip != nil {
				want = netip.MustParseAddr(ip.String()).Unmap().String()
			}
		}
		c := must(httpmw.NewHopsIP(64, n, ten))
		r := &http.Request{Header: http.Header{xff: lines}, RemoteAddr: "10.0.0.1:1"}
		if got, _ := c.Addr(r); got.String() != want {
			t.Fatalf("%d hops, %q: %v, want %s", n, lines, got, want)
		}
	})
}
