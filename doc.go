// Package weir is an embedded, in-process rate limiter: a token bucket for each
// key, in bounded memory, kept across restarts in a file. No server, no Redis.
//
//	limiter, err := weir.Open("weir.db",
//		weir.Policy{Name: "ip", Limit: bucket.PerMinute(100)},
//		weir.Policy{Name: "user", Limit: bucket.PerDay(1000)})
//	if err != nil {
//		return err
//	}
//	defer limiter.Close()
//
//	if d := limiter.Take(1, "203.0.113.7", "alice"); !d.Allowed {
//		// come back after d.RetryAfter
//	}
//
// Open it once, at the start: limiters that are opened for each request know
// nothing of each other and limit nothing. Package weirtest has a test for that.
//
// A request is under all policies at once: it is charged by each of them or by
// none. What a key has used is not forgotten: not when memory is short and the
// key is evicted, not on a restart, not when the clock is set, and not when a
// limit is changed.
//
// # The way of the data
//
// A decision locks the shard of each key, reads the clock once, asks each
// bucket, and charges all or none. It does no I/O and allocates nothing for
// keys of up to 64 bytes that are in memory. Now and then, and soon after a key
// has run dry, a goroutine walks what has changed, with short lock holds, and
// writes it to the file in one transaction: the keyed hash of each key, and the
// time until its bucket is full again. At the
// start these are read back into a table in memory, where each waits for its
// key to come again. A file that can not be written changes no decision.
//
// # The parts
//
// The packages can be used by themselves: bucket is one token bucket, registry
// is many of them by key, persist is the file, httpmw is middleware for
// net/http. All know bucket, and none knows another; this package puts them
// together, as the command weir does for those who would rather put a proxy in
// front of an API.
package weir
