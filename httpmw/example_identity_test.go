package httpmw_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"

	"github.com/seed-0c889b51/weir/httpmw"
)

// showClient prints the address that ip finds in a request.
func showClient(ip httpmw.ClientIP, peer, field, value string) {
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = peer
	r.Header.Set(field, value)
	client, ok := ip.Addr(r)
	fmt.Println(client, ok)
}

func ExampleNewForwardedIP() {
	ip, err := httpmw.NewForwardedIP(64, netip.MustParsePrefix("10.0.0.0/8"))
	if err != nil {
		fmt.Println(err)
		return
	}
	showClient(ip, "10.0.0.1:4711", "Forwarded", `for=6.6.6.6, for="[2001:db8::7]:443";proto=https, for=10.0.0.2`)
	showClient(ip, "10.0.0.1:4711", "Forwarded", `for=6.6.6.6, for=unknown`)
	// Output:
	// 2001:db8::7 true
	// 10.0.0.1 true
}

func ExampleNewHeaderIP() {
	ip, err := httpmw.NewHeaderIP(64, "CF-Connecting-IP", netip.MustParsePrefix("10.0.0.0/8"))
	if err != nil {
		fmt.Println(err)
		return
	}
	showClient(ip, "10.0.0.1:4711", "CF-Connecting-IP", "203.0.113.7")
	showClient(ip, "198.51.100.9:4711", "CF-Connecting-IP", "203.0.113.7") // anyone
	// Output:
	// 203.0.113.7 true
	// 198.51.100.9 true
}

func ExampleNewHopsIP() {
	// A content delivery network in front of a load balancer of ours.
	ip, err := httpmw.NewHopsIP(64, 2, netip.MustParsePrefix("10.0.0.0/8"))
	if err != nil {
		fmt.Println(err)
		return
	}
	showClient(ip, "10.0.0.1:4711", "X-Forwarded-For", "6.6.6.6, 203.0.113.7, 192.0.2.80")
	// Output: 203.0.113.7 true
}

func ExampleNewPrivateHopsIP() {
	// In a network that nobody but the load balancer reaches, whatever address it
	// has today.
	ip, err := httpmw.NewPrivateHopsIP(64, 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	showClient(ip, "172.17.0.3:4711", "X-Forwarded-For", "6.6.6.6, 203.0.113.7")
	// Output: 203.0.113.7 true
}

func ExampleClientIP_TrustUnix() {
	ip, err := httpmw.NewClientIP(64)
	if err != nil {
		fmt.Println(err)
		return
	}
	showClient(ip, "@", "X-Forwarded-For", "203.0.113.7")
	showClient(ip.TrustUnix(), "@", "X-Forwarded-For", "203.0.113.7")
	// Output:
	// invalid IP false
	// 203.0.113.7 true
}

func ExampleByNetwork() {
	// Each /64 may do so much, and the site that they are of not much more.
	limit, err := httpmw.New(exampleLimiter("ip", "site"), httpmw.Config{
		Keys: map[string]httpmw.Key{"ip": httpmw.ByIP(), "site": httpmw.ByNetwork(24, 48)},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	h := limit.Handler(hello)
	show(h, from("[2001:db8:1:1::1]:80"))
	show(h, from("[2001:db8:1:2::1]:80"))
	show(h, from("[2001:db8:1:3::1]:80"))
	// Output:
	// 200 "ip";r=1;t=30, "site";r=1;t=30
	// 200 "ip";r=1;t=30, "site";r=0;t=30
	// 429 "site";r=0;t=30 30
}

func ExampleBearer() {
	showKey(httpmw.Bearer(), field("Authorization", "Bearer abc"), field("Authorization", "bearer  abc"))
	// Output:
	// 200 "p";r=1;t=30
	// 200 "p";r=0;t=30
}

func ExampleBasicUser() {
	showKey(httpmw.BasicUser(),
		func(r *http.Request) { r.SetBasicAuth("alice", "x") },
		func(r *http.Request) { r.SetBasicAuth("alice", "another") })
	// Output:
	// 200 "p";r=1;t=30
	// 200 "p";r=0;t=30
}

func ExampleClientCert() {
	// What a server with tls.RequireAndVerifyClientCert has seen.
	verified := func(der string) func(*http.Request) {
		return func(r *http.Request) {
			r.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{{Raw: []byte(der)}}}}
		}
	}
	showKey(httpmw.ClientCert(), verified("alice's"), verified("bob's"))
	// Output:
	// 200 "p";r=1;t=30
	// 200 "p";r=1;t=30
}

// subjectKey is where the authentication keeps whose token it has verified.
type subjectKey struct{}

func ExampleFunc_verifiedSubject() {
	// The subject of a token stays the same when the token is refreshed, and
	// nobody can make one up: the limit is behind the authentication.
	subject := httpmw.Func(func(r *http.Request) string {
		s, _ := r.Context().Value(subjectKey{}).(string)
		return s
	})
	verified := func(token, subject string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Authorization", "Bearer "+token)
			*r = *r.WithContext(context.WithValue(r.Context(), subjectKey{}, subject))
		}
	}
	showKey(subject, verified("today's", "alice"), verified("tomorrow's", "alice"))
	// Output:
	// 200 "p";r=1;t=30
	// 200 "p";r=0;t=30
}

// none is a request without an API key.
func none(*http.Request) {}

func ExampleKey_OrRefuse() {
	showKey(httpmw.Header("X-Api-Key").OrRefuse(), field("X-Api-Key", "alice"), none)
	// Output:
	// 200 "p";r=1;t=30
	// 400
}

func ExampleKey_OrShared() {
	anyone := func(addr string) func(*http.Request) { return from(addr) }
	showKey(httpmw.Header("X-Api-Key").OrShared(), anyone("192.0.2.1:80"), anyone("192.0.2.2:80"))
	// Output:
	// 200 "p";r=1;t=30
	// 200 "p";r=0;t=30
}

func ExampleKey_OrSkip() {
	// Those without a key are limited by another policy.
	limit, err := httpmw.New(exampleLimiter("ip", "user"), httpmw.Config{
		Keys: map[string]httpmw.Key{"ip": httpmw.ByIP(), "user": httpmw.Header("X-Api-Key").OrSkip()},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	h := limit.Handler(hello)
	show(h, field("X-Api-Key", "alice"))
	show(h)
	// Output:
	// 200 "ip";r=1;t=30, "user";r=1;t=30
	// 200 "ip";r=0;t=30
}
