// Package weirtest proves in a test of yours that a handler is limited: that
// the limit is on, that it is per client, that nobody gets round it with the
// header fields and other changes that [AssertLimited] tries, and that a client
// that comes back when it is told to is served.
//
//	func TestLimited(t *testing.T) {
//		synctest.Test(t, func(t *testing.T) {
//			weirtest.AssertLimited(t, newHandler(t), weirtest.Want{Limit: bucket.PerMinute(100)})
//		})
//	}
//
// Within [synctest.Test] time is virtual: a client that is told to come back in
// an hour does, and the test takes milliseconds. The handler must be made in
// there too, and must do no network I/O, since time stands still while any
// goroutine waits for that. A handler with a limiter whose state is in a file
// wants its limiter closed before the end, with t.Cleanup or defer.
//
// Without synctest.Test the clock is the real one. Waits of up to 3 seconds are
// waited for; a longer one fails the test, and says so.
package weirtest
