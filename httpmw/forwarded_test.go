package httpmw_test

import (
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
)

// oracle is the rule for X-Forwarded-For as one would say it, with the parsers
// of package net and no thought of bounds.
func oracle(peer string, lines []string, trusted func(net.IP) bool) string {
	client := oracleIP(peer)
	elements := strings.Split(strings.Join(lines, ","), ",")
	for len(elements) > 0 && trusted(client) {
		last := strings.Trim(elements[len(elements)-1], " \t")
		elements = elements[:len(elements)-1]
		if last == "" {
			continue
		}
		ip := oracleIP(last)
		if ip == nil {
			break
		}
		client = ip
	}
	return client.String()
}

func oracleIP(s string) net.IP {
	host := s
	switch {
	case strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]"):
		if host = s[1 : len(s)-1]; !strings.Contains(host, ":") {
			return nil
		}
	case strings.HasPrefix(s, "[") || strings.Count(s, ":") == 1:
		h, port, err := net.SplitHostPort(s)
		if err != nil || len(port) > 5 || strings.HasPrefix(s, "[") && !strings.Contains(h, ":") {
			return nil
		}
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return nil
		}
		host = h
	}
	if strings.Contains(host, ":") {
		if before, zone, ok := strings.Cut(host, "%"); ok && zone != "" && !strings.ContainsAny(zone, " \t[]\"") {
			host = before
		}
	}
	return net.ParseIP(host)
}

var proxies = &net.IPNet{IP: net.IPv4(10, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)}

// bounded tells whether lines are within what is read of them.
func bounded(lines []string) bool {
	all := strings.Join(lines, ",")
	return len(all) < 8<<10 && strings.Count(all, ",") < 64
}

func oracleAddr(t testing.TB, lines []string) {
	t.Helper()
	r := &http.Request{Header: http.Header{xff: lines}, RemoteAddr: "192.0.2.1:1"}
	if got, _ := listIP.Addr(r); got != netip.MustParseAddr("192.0.2.1") {
		t.Fatalf("%q from a peer that is no proxy: %v", lines, got)
	}

	r.RemoteAddr = "10.0.0.1:1"
	got, ok := listIP.Addr(r)
	if !ok || got.Zone() != "" || got.Is4In6() {
		t.Fatalf("%q: %v, %v", lines, got, ok)
	}
	if bounded(lines) {
		if want := oracle("10.0.0.1", lines, proxies.Contains); got.String() != netip.MustParseAddr(want).Unmap().String() {
			t.Fatalf("%q: %v, want %s", lines, got, want)
		}
	}
}

// Random lists of what is found in the field, good and bad.
func TestCheck_63_forwarded_differential(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"10.0.0.1", "10.0.0.2", "10.9.9.9:80", "::ffff:10.0.0.3", "[::ffff:10.0.0.4]:1", " ", "", ",", "\t", "203.0.113.7",
		"203.0.113.7:99", "6.6.6.6", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:443", "fe80::1%eth0", "garbage", "unknown", "_x", "010.0.0.5",
		"1.2.3", "1.2.3.4.5", `"1.2.3.4"`, "[1.2.3.4]:5", "1.2.3.4:", "1.2.3.4:99999", "::", "::1%", "%", "[", "]", ":", ":80", "10.0.0.1 10.0.0.2"}
	found := map[bool]int{}
	for range 20_000 {
		lines := make([]string, 1+rng.IntN(3))
		for i := range lines {
			var elements []string
			for range rng.IntN(6) {
				n := len(pieces)
				if rng.IntN(3) > 0 {
					n = 10 // mostly a list that can be followed
				}
				elements = append(elements, pieces[rng.IntN(n)])
			}
			lines[i] = strings.Join(elements, []string{",", ", ", " ,"}[rng.IntN(3)])
		}
		oracleAddr(t, lines)
		found[oracle("10.0.0.1", lines, proxies.Contains) == "10.0.0.1"]++
	}
	if found[true] < 1000 || found[false] < 1000 {
		t.Errorf("%v: the lists are all alike", found)
	}
}

func FuzzForwardedFor(f *testing.F) {
	for _, s := range []string{"", "203.0.113.7", "6.6.6.6, 203.0.113.7", "6.6.6.6\n203.0.113.7, 10.0.0.2", "x, ::ffff:10.0.0.9",
		"[2001:db8::7%eth0]:443,", strings.Repeat("10.0.0.2,", 70), "::ffff:1.2.3.4%x", "[::1]:+1", "1.2.3.4:0x1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, lines string) { oracleAddr(t, strings.Split(lines, "\n")) })
}
