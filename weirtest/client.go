package weirtest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"
)

// A response is what a client got.
type response struct {
	status int
	header http.Header
	at     time.Time // when it was there
}

// send sends a request of a client, edited unless edit is nil.
func (c *check) send(client int, edit func(*http.Request)) response {
	r := c.requestOf(client)
	if edit != nil {
		edit(r)
	}
	w := httptest.NewRecorder()
	c.h.ServeHTTP(w, r)
	return response{status: w.Code, header: w.Result().Header, at: time.Now()}
}

// requestOf returns a new request of a client.
func (c *check) requestOf(client int) *http.Request {
	var r *http.Request
	if c.request != nil {
		r = c.request(client)
	} else {
		r = httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = ""
	}
	if r.RemoteAddr == "" {
		if !c.onePort {
			c.port = (c.port + 1) % 10_000
		}
		// Of RFC 2544, for tests. Each client has a network of its own, since
		// a handler may limit these too.
		r.RemoteAddr = fmt.Sprintf("198.%d.%d.1:%d", 18+client/256, client%256, 50_000+c.port)
	}
	return r
}

// forged is an address that no client has.
const forged = "203.0.113.77"

// spoofs are the fields in which a client may claim an address.
var spoofs = []struct{ name, value string }{
	{"X-Forwarded-For", forged},
	{"Forwarded", "for=" + forged},
	{"X-Real-IP", forged},
	{"True-Client-IP", forged},
	{"CF-Connecting-IP", forged},
	{"Fastly-Client-IP", forged},
	{"X-Client-IP", forged},
	{"X-Cluster-Client-IP", forged},
	{"X-Original-Forwarded-For", forged},
	{"X_Forwarded_For", forged},
}

// spoof returns an edit that claims an address in a field, as it arrives
// behind what proxies do.
func spoof(name, value string) func(*http.Request) {
	return func(r *http.Request) {
		switch there := r.Header.Get(name); {
		case there == "":
			r.Header.Set(name, value)
		case name == "X-Forwarded-For" || name == "Forwarded":
			r.Header.Set(name, value+", "+there)
		}
	}
}
