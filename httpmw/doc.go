// Package httpmw puts a limiter in front of an [net/http.Handler].
//
// A [Middleware] asks who a request is from, once for each policy of the
// limiter, has the limiter decide, and tells the client: in the RateLimit and
// RateLimit-Policy header fields, in the syntax of
// draft-ietf-httpapi-ratelimit-headers-11, and, on a refusal, with status 429,
// a Retry-After that is never too early and a problem document (RFC 9457).
//
// # Who a request is from
//
// A [Key] says it: [ByIP], [Header], [Cookie], [Path], [Func], [Global], or
// several together with [Join]. Keys of different kinds never collide, what a
// client sends never makes a key longer than a few bytes, and the value of a
// header or cookie is never in a key, only a hash of it.
//
// A request without the identity that a key asks for is limited by its
// client's address, in a bucket of its own: neither in one bucket with all the
// others nor without a limit.
//
// The client's address is the one of the peer. A [ClientIP] made by
// [NewClientIP] follows X-Forwarded-For, but only from proxies that it was
// given. Middleware that rewrites Request.RemoteAddr belongs behind this one,
// or nowhere.
//
// An identity that a client can make up, such as the header of an API key
// that nobody has checked yet, gives it a fresh bucket at will. Give such a
// limiter a second policy by address, or mount it behind the check.
//
// # CORS
//
// A preflight (OPTIONS with Origin and Access-Control-Request-Method) is
// counted in a bucket of its own with the same limit, so that it neither eats a
// client's quota nor is a way round it. CORS middleware belongs outside of this
// one: then a refusal has the fields that let a script read it.
//
// This package knows only [github.com/seed-0c889b51/weir/bucket].
package httpmw
