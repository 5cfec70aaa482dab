package persist

import "time"

const (
	// maxDowntime is the most that a wall clock nobody vouches for is credited.
	maxDowntime = 24 * time.Hour
	// maxDebt is the most that a bucket can owe: no limit takes longer to
	// refill. As a credit it fills every bucket, so more need not be told apart.
	maxDebt = 100 * 365 * 24 * time.Hour
	// maxTimeline, 73 years, bounds what credits add up to, so that sums with
	// maxDebt do not overflow. Only clocks gone mad get there; a file that has
	// is still right, but is credited no more.
	maxTimeline = 1 << 61
)

// A reading is what the clocks of the system say at one moment.
type reading struct {
	mono   time.Time // monotonic, of this process
	wall   int64     // ns since 1970
	boot   int64     // ns since the boot, time asleep included; needs bootID
	bootID [16]byte  // of this boot; zero if the system has none
	synced bool      // the wall clock is synchronised
}

// A stamp is a moment on the timeline of a file, with the readings by which a
// later run can tell how long ago that was.
type stamp struct {
	t      int64 // on the timeline, ns
	wall   int64
	boot   int64
	bootID [16]byte

	// The latest moment at which the wall clock was synchronised. It is kept
	// over runs in which it was not, so that what they missed can be credited.
	anchored   bool
	anchorT    int64
	anchorWall int64
}

// stampAt returns the stamp for the moment t at which r was read, given the
// one before it.
func (s stamp) stampAt(t int64, r reading) stamp {
	next := stamp{
		t: t, wall: r.wall, boot: r.boot, bootID: r.bootID,
		anchored: s.anchored, anchorT: s.anchorT, anchorWall: s.anchorWall,
	}
	if r.synced {
		next.anchored, next.anchorT, next.anchorWall = true, t, r.wall
	}
	return next
}

// How a credit is known.
const (
	clockNone    = "none"             // the clocks cannot be compared: no time has passed
	clockBoot    = "same boot"        // exact
	clockSynced  = "synchronised"     // difference of synchronised wall times
	clockUptime  = "since boot"       // a lower bound
	clockWall    = "wall clock"       // bounded by maxDowntime
	clockUnknown = "nothing was kept" // there was no earlier stamp
)

// credit returns how much time has passed since s for certain, and how that is
// known. It is at least 0 and at most maxDebt.
func (s stamp) credit(now reading) (time.Duration, string) {
	var none [16]byte
	switch {
	case s.bootID == none || now.bootID == none:
		return min(clampCredit(elapsed(s.wall, now.wall)), maxDowntime), clockWall
	case s.bootID == now.bootID && now.boot < s.boot:
		return 0, clockNone // a machine set back to a snapshot, or another time namespace
	case s.bootID == now.bootID:
		return clampCredit(now.boot - s.boot), clockBoot
	case s.anchored && now.synced:
		return s.sinceAnchor(s.t, now), clockSynced
	}
	// The stamp was made before this boot. A wall clock that somebody may have
	// set proves nothing more.
	return clampCredit(now.boot), clockUptime
}

// sinceAnchor returns how much later it is than t on the timeline, as the
// synchronised wall clock tells.
func (s stamp) sinceAnchor(t int64, now reading) time.Duration {
	return clampCredit(int64(clampCredit(elapsed(s.anchorWall, now.wall))) - (t - s.anchorT))
}

// advance returns t later by credit, as far as the timeline goes.
func advance(t int64, credit time.Duration) int64 {
	return max(t, min(t+int64(credit), maxTimeline))
}

// elapsed returns b-a, saturated.
func elapsed(a, b int64) int64 {
	d := b - a
	if (b > a) != (d > 0) && a != b { // overflow
		if b > a {
			return int64(maxDebt)
		}
		return 0
	}
	return d
}

func clampCredit(ns int64) time.Duration { return min(max(time.Duration(ns), 0), maxDebt) }

// A timeline is the time of a file while a process has it open.
type timeline struct {
	t0     int64     // at start
	start  time.Time // monotonic
	last   stamp     // the latest stamp written or read
	synced bool      // the wall clock has been seen synchronised in this run
}

// at returns the time on the timeline at the moment t, which counts as the
// start if it is before it.
func (l *timeline) at(t time.Time) int64 { return l.t0 + int64(max(t.Sub(l.start), 0)) }

// stamp returns the stamp for the moment of r.
func (l *timeline) stamp(r reading) stamp { return l.last.stampAt(l.at(r.mono), r) }

// catchUp credits, once a run, what was not certain at its start because the
// clock was not synchronised, and is now. It returns how much that is.
func (l *timeline) catchUp(r reading) time.Duration {
	if !r.synced || l.synced {
		return 0
	}
	l.synced = true
	if !l.last.anchored {
		return 0
	}
	t := l.at(r.mono)
	late := advance(t, l.last.sinceAnchor(t, r)) - t
	l.t0 += late
	return time.Duration(late)
}
