// Package doctor proves from outside, by sending requests, that an API is
// limited: that the limit is on, that it is each client's own, that nobody gets
// round it, that a client that comes back when it is told to is served, and
// that a restart does not forget it.
//
// It needs no knowledge of what is behind the URL. It sends one request at a
// time, no more than it was allowed, and none that is meant to change anything.
// What it cannot prove from where it is, it says it has not tested, and why.
package doctor
