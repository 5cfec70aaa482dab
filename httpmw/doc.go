// Package httpmw puts a limiter in front of an [net/http.Handler].
//
// A [Middleware] asks who a request is from, once for each policy of the
// limiter, has the limiter decide, and tells the client: in the RateLimit and
// RateLimit-Policy header fields, in the syntax of
// draft-ietf-httpapi-ratelimit-headers-11 or, by a [FieldSet], in an older one,
// and, on a refusal, with status 429, a Retry-After that is never too early and
// a problem document (RFC 9457). What all clients have used up together, under
// the key [Global], is refused with status 503.
//
// # Who a request is from
//
// A [Key] says it: [ByIP] and [ByNetwork], [Header], [Cookie], [Bearer],
// [BasicUser], [ClientCert], [Func], [Path], [Global], or several together with
// [Join]. Keys of different kinds never collide, what a client sends never
// makes a key longer than a few bytes, and a credential is never in a key, only
// a hash of it.
//
// A request without the identity that a key asks for is limited by its
// client's address, in a bucket of its own: neither in one bucket with all the
// others nor without a limit. [Key.OrRefuse], [Key.OrShared] and [Key.OrSkip]
// say otherwise.
//
// The client's address is the one of the peer. A [ClientIP] made by
// [NewClientIP], [NewForwardedIP], [NewHeaderIP] or [NewHopsIP] takes it from
// one header field, but only from proxies that it was given. Middleware that
// rewrites Request.RemoteAddr belongs behind this one, or nowhere.
//
// An identity that a client can make up, such as the header of an API key
// that nobody has checked yet, gives it a fresh bucket at will. Give such a
// limiter a second policy by address, or mount it behind the check.
//
// # What is limited, and by how much
//
// A policy is for all requests, or for those that Config.Routes has patterns
// for; it does not matter how a path is spelled. Config.ExemptRoutes and
// Config.Exempt have those that nothing is for. A request costs one token, or
// what Config.Cost and Config.Costs say. Where it is known only afterwards what
// a request cost, Config.Settle makes up for the difference: so that only
// failed logins count, say, or the work that the handler says it had. How many
// requests are served at once, Config.InFlight limits.
//
// # CORS
//
// A preflight (OPTIONS with Origin and Access-Control-Request-Method) is
// counted in a bucket of its own with the same limit, so that it neither eats a
// client's quota nor is a way round it: a client may send as many preflights as
// it may other requests. CORS middleware belongs outside of this
// one: then a refusal has the fields that let a script read it, and with
// Config.ExposeFields the header fields too.
//
// # Misuse
//
// A limit can be there and not do what its owner thinks: behind a proxy that is
// not trusted, on a route that is never taken, round a handler twice. What a
// Middleware sees of that it says in a [Warning], once, with what to do about
// it.
//
// It cannot see that its limiter is one that was opened for this request alone:
// such limiters know nothing of each other, and limit nothing. Open the limiter
// and call [New] and [Middleware.Handler] at the start, not in a handler. A test
// with AssertLimited of package weirtest fails if the limit is not there,
// whatever the reason is.
//
// # What it needs
//
// This package knows only [github.com/seed-0c889b51/weir/bucket].
package httpmw
