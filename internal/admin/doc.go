// Package admin is the listener of weir serve for its owner: metrics, health,
// what each limit has done and who is over it. It is a server of its own, never
// a path of the one that clients reach.
//
// # Who may ask
//
// A request is refused with status 403 if its Host is not one of the listener's
// names, whatever it resolves to (DNS rebinding), if a browser says that a page
// of another origin has made it, and if it carries a field of a proxy, such as
// X-Forwarded-For: behind one, nobody here could tell who asks. What changes
// something or names a client wants the token, in an Authorization field of the
// scheme Bearer; so does everything but the probes and the page if the listener
// is not on this machine alone, which then has to speak TLS as well.
//
// # What it costs
//
// Counts are read from the limiter and the middleware when somebody asks for
// them. On the way to a decision there is nothing of this package but, of one
// request in 64, a reading of the clock; a refusal is noted, and what is behind
// the limits is timed, which takes 0.2 to 0.4 µs.
package admin
