package admin

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

const (
	watched    = 1024             // keys that are denied
	calm       = 10 * time.Second // without a denial, after which a key is within its limit again
	linesAtMax = 10               // log lines a second
)

// changes logs when a key begins to be denied, each power of ten of its
// denials, and when it is within its limit again. Who brings denials about does
// not choose how much is logged: there are ten lines a second at most, and a
// thousand keys are looked at. The rest is counted.
type changes struct {
	log    *slog.Logger
	names  func(string) string
	secret [32]byte
	lines  *bucket.Bucket

	mu      sync.Mutex
	denying map[subject]*run
	unsaid  uint64 // lines there was no room for, since the last
	passed  uint64 // denials of keys there was no room for, since the last line
}

// A subject is a key under a policy.
type subject struct{ policy, key string }

// A run is a series of denials of a key.
type run struct {
	begun, last time.Time
	free        time.Time // when it is allowed again
	count, next uint64    // next: the count of the next line
}

func (c *changes) init(cfg WatchConfig) {
	c.log, c.names = cfg.Logger, cfg.Names
	if c.log == nil {
		c.log = slog.Default()
	}
	rand.Read(c.secret[:]) // never fails
	c.denying = map[subject]*run{}
	c.lines, _ = bucket.New(bucket.PerSecond(linesAtMax)) // a valid limit
}

// name returns what the log calls a key.
func (c *changes) name(key string) string {
	if c.names != nil {
		return c.names(key)
	}
	h := hmac.New(sha256.New, c.secret[:])
	h.Write([]byte(key))
	return "#" + hex.EncodeToString(h.Sum(nil)[:6])
}

// denied counts a denial.
func (c *changes) denied(now time.Time, why httpmw.Denial) {
	c.mu.Lock()
	defer c.mu.Unlock()
	of := subject{why.Policy, why.Key}
	r := c.denying[of]
	if r == nil {
		if len(c.denying) >= watched {
			c.passed++
			return
		}
		r = &run{begun: now, next: 1}
		c.denying[of] = r
	}
	r.last = now
	r.free = now
	if wait := why.Decision.RetryAfter; wait != bucket.Never {
		r.free = now.Add(wait)
	}
	if r.count++; r.count < r.next {
		return
	}
	message := "a key is over its limit"
	attrs := []slog.Attr{slog.String("limit", why.Policy), slog.String("key", c.name(why.Key))}
	if r.count > 1 {
		message = "a key stays over its limit"
		attrs = append(attrs, slog.Uint64("denied", r.count))
	}
	if why.Decision.RetryAfter == bucket.Never {
		attrs = append(attrs, slog.String("retry_after_s", "never"))
	} else {
		attrs = append(attrs, slog.Float64("retry_after_s", math.Ceil(why.Decision.RetryAfter.Seconds())))
	}
	r.next = 10 * r.count
	c.say(now, message, attrs)
}

// look finds the keys that are within their limit again.
func (c *changes) look(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for of, r := range c.denying {
		if now.Before(r.free) || now.Sub(r.last) < calm {
			continue
		}
		delete(c.denying, of)
		c.say(now, "a key is within its limit again", []slog.Attr{
			slog.String("limit", of.policy), slog.String("key", c.name(of.key)), slog.Uint64("denied", r.count),
			slog.Float64("for_s", math.Ceil(r.last.Sub(r.begun).Seconds())),
		})
	}
}

// say writes a line, if there is room for one.
func (c *changes) say(now time.Time, message string, attrs []slog.Attr) {
	if !c.lines.Take(now, 1).Allowed {
		c.unsaid++
		return
	}
	if c.unsaid > 0 {
		attrs = append(attrs, slog.Uint64("lines_left_out", c.unsaid))
	}
	if c.passed > 0 {
		attrs = append(attrs, slog.Uint64("denials_of_other_keys", c.passed))
	}
	c.unsaid, c.passed = 0, 0
	c.log.LogAttrs(context.Background(), slog.LevelInfo, message, attrs...)
}
