package weirtest

import (
	"fmt"
	"net/http"
	"time"
)

// network reports whether a client with an IPv6 network passes from another
// address of it: one line has a network of 64 bits, and with it more addresses
// than could be limited one by one. It is not for requests that come from an
// address of the test's.
func (c *check) network() {
	if c.request != nil && c.request(0).RemoteAddr != "" {
		return
	}
	start, admitted := time.Now(), 0
	passes := func(address string) bool {
		got := c.send(0, func(r *http.Request) { r.RemoteAddr = address })
		if got.status == c.first.status {
			admitted++
		}
		return got.status == c.first.status
	}
	for n := 0; passes("[2001:db8:77::1]:50001"); n++ {
		if n > c.patience() {
			return // not limited by the address: said elsewhere
		}
	}
	for host := range c.patience() {
		if !passes(fmt.Sprintf("[2001:db8:77::%x:1]:50001", host+2)) {
			return
		}
		if admitted > c.allowance(start) {
			c.problem("a client with an IPv6 network passes from another address of it when it is over its limit: it has 2^64 of them. " +
				"Key by the network, as httpmw.ByIP does with the first 64 bits")
			return
		}
	}
}
