package admin

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/httpmw"
	"github.com/seed-0c889b51/weir/internal/adminapi"
)

const (
	peakEvery     = 5 * time.Second
	unconsulted   = 1000           // requests after which a limit should have been asked
	unreachedAsks = 1000           // requests, and a day, after which a limit
	unreachedTime = 24 * time.Hour // should have been near
	unreachedPeak = 0.5
)

// IDs of what a [Server] finds to be not as it should be: all there are.
const (
	saveFailed     = "save-failed"
	stateUnused    = "state-not-used"
	reloadFailed   = "reload-failed"
	notCounted     = "not-counted"
	forgiven       = "debts-forgotten"
	badTiers       = "tiers-rejected"
	neverConsulted = "never-consulted"
	neverReached   = "never-reached"
	ownProxy       = "own-proxy-as-client"
	allDry         = "nothing-enforced"
)

// cures says what to do about what package httpmw warns of, in the words of the
// command line, and how bad it is.
var cures = map[string]struct{ level, cure string }{
	"untrusted-proxy": {adminapi.LevelWarning,
		"if it is your proxy, name its address with --trust; if it is not, somebody tries to pass for another client, in vain"},
	"private-client": {adminapi.LevelWarning,
		"if the private address is that of your proxy, name it with --trust: all clients behind it share its bucket"},
	"busy-private-client": {adminapi.LevelWarning,
		"if the address is that of your proxy, name it with --trust: all clients behind it share its bucket"},
	"unknown-peer": {adminapi.LevelWarning,
		"name who connects to the Unix socket with --trust unix, so that it can say who the client is"},
	"cost-over-burst": {adminapi.LevelError, "raise the burst of the limit, or lower what a request costs"},
	"never-asked":     {adminapi.LevelWarning, "check which requests the limit is for, and who is exempt; or drop it"},
	"charged-twice":   {adminapi.LevelWarning, "have requests pass weir once, not twice"},
	"built-per-request": {adminapi.LevelError,
		"make the middleware once, at the start"},
	"one-key": {adminapi.LevelWarning,
		"if it is the address of your proxy, name it with --trust; if many clients share the key, choose one that tells them apart"},
	"mixed-fields":       {adminapi.LevelWarning, "have both limiters send the same --fields"},
	"long-partition-key": {adminapi.LevelWarning, "have the partition key be a hash"},
}

// levels, the worst first.
var levels = []string{adminapi.LevelError, adminapi.LevelWarning, adminapi.LevelInfo}

// A detector finds what is not as it should be. What it cannot read from counts
// it looks for every few seconds.
type detector struct {
	source func() Source
	stop   chan struct{}
	once   sync.Once

	mu    sync.Mutex
	first map[httpmw.Warning]time.Time // seen
	peaks map[string]float64           // by nameOf
}

func newDetector(source func() Source) *detector {
	return &detector{source: source, stop: make(chan struct{}), first: map[httpmw.Warning]time.Time{}, peaks: map[string]float64{}}
}

// run looks until close is called.
func (d *detector) run() {
	ticker := time.NewTicker(peakEvery)
	defer ticker.Stop()
	for {
		src := d.source()
		d.sample(src)
		d.warnings(src.Limits.Stats().Warnings)
		select {
		case <-d.stop:
			return
		case <-ticker.C:
		}
	}
}

func (d *detector) close() { d.once.Do(func() { close(d.stop) }) }

// sample finds how much of its burst the key that has used the most has used.
func (d *detector) sample(src Source) {
	for _, p := range src.Limiter.Stats().Policies {
		peak := d.peakOf(p)
		if peak < 1 {
			keys, err := src.Limiter.Keys(p.Name)
			if err != nil {
				continue // it has just gone
			}
			for _, of := range keys {
				if of.Limit.Burst > 0 {
					used := of.Limit.Burst - max(0, of.Remaining)
					peak = max(peak, float64(used)/float64(of.Limit.Burst))
				}
			}
		}
		d.mu.Lock()
		d.peaks[nameOf(p)] = peak
		d.mu.Unlock()
	}
}

// peakOf returns the most that a key of a policy was seen to have used of its
// burst, from 0 to 1: all, if one was denied.
func (d *detector) peakOf(p weir.PolicyStats) float64 {
	if p.Denied > 0 {
		return 1
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.peaks[nameOf(p)]
}

// nameOf names a policy with its limit, which may change.
func nameOf(p weir.PolicyStats) string { return p.Name + " " + p.Limit.String() }

// warnings returns the signs of misuse with when they were first seen.
func (d *detector) warnings(seen []httpmw.Warning) []adminapi.Warning {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := []adminapi.Warning{}
	for _, w := range seen {
		at, ok := d.first[w]
		if !ok {
			at = time.Now()
			d.first[w] = at
		}
		text := w.Message
		if w.Policy != "" {
			text = w.Policy + ": " + text
		}
		list = append(list, adminapi.Warning{ID: w.Name, Text: text, Cure: cures[w.Name].cure, At: at})
	}
	return list
}

// look returns what is wrong now, the worst first.
func (d *detector) look(src Source, limiter weir.Stats, limits httpmw.Stats) []adminapi.Health {
	list := []adminapi.Health{}
	add := func(id, level, cure, format string, args ...any) {
		list = append(list, adminapi.Health{ID: id, Level: level, Text: fmt.Sprintf(format, args...), Cure: cure})
	}
	if src.StateError != nil {
		add(stateUnused, adminapi.LevelError, "see why in the log, and start weir again; until then a restart forgets what was used",
			"the state file is not used, limits are kept in memory alone: %v", src.StateError)
	}
	if limiter.SaveError != nil {
		add(saveFailed, adminapi.LevelError, "see that the disk has room and that weir may write to the file; it goes on trying",
			"the last snapshot was not saved, and a crash would forget the last %v: %v", limiter.Age.Round(time.Second), limiter.SaveError)
	}
	if src.Reloaded.Err != nil {
		add(reloadFailed, adminapi.LevelError, "correct the file and reload; the configuration before it stays in force",
			"the configuration could not be loaded: %v", src.Reloaded.Err)
	}
	if limits.Failed > 0 {
		add(notCounted, adminapi.LevelError, "see why in the log", "%d requests could not be counted against their limits", limits.Failed)
	}
	d.lookAtPolicies(src, limiter, limits, add)
	seen := limits.BadForwarded * 100
	if all := requests(limits); limits.BadForwarded > 0 && seen >= all {
		add(ownProxy, adminapi.LevelWarning, "have the proxy say who its client is in every request, and see that --client-ip is where it says so",
			"%d of %d requests from a trusted proxy do not say who the client is, and count as the proxy's own", limits.BadForwarded, all)
	}
	for _, w := range limits.Warnings {
		if w.Name == "never-asked" { // it may have been since: see neverConsulted
			continue
		}
		of := cures[w.Name]
		if of.level == "" {
			of.level = adminapi.LevelWarning
		}
		text := w.Message
		if w.Policy != "" {
			text = w.Policy + ": " + text
		}
		add(w.Name, of.level, of.cure, "%s", text)
	}
	slices.SortStableFunc(list, func(a, b adminapi.Health) int {
		return slices.Index(levels, a.Level) - slices.Index(levels, b.Level)
	})
	return list
}

// lookAtPolicies looks for limits that do nothing, or forget.
func (d *detector) lookAtPolicies(src Source, limiter weir.Stats, limits httpmw.Stats, add func(id, level, cure, format string, args ...any)) {
	all, dry := requests(limits), true
	for _, p := range limiter.Policies {
		dry = dry && p.DryRun
		if p.DebtsDropped > 0 {
			add(forgiven, adminapi.LevelWarning, "have the limit keep more keys in memory",
				"%s: %d keys were forgotten that still owed something, since there was no room for them", p.Name, p.DebtsDropped)
		}
		if p.TiersRejected > 0 {
			add(badTiers, adminapi.LevelError, "correct the limits of the tiers", "%s: %d keys had a limit of their own that is not valid", p.Name, p.TiersRejected)
		}
		c, ok := countsOf(limits, p.Name)
		if !ok {
			continue
		}
		asked := c.Allowed + c.Denied + c.Spared
		switch {
		case asked == 0 && all >= unconsulted:
			add(neverConsulted, adminapi.LevelWarning, "check which requests the limit is for; or drop it",
				"%s: the limit was not consulted once in %d requests", p.Name, all)
		case asked >= unreachedAsks && time.Since(src.Started) >= unreachedTime && d.peakOf(p) < unreachedPeak:
			add(neverReached, adminapi.LevelInfo, "lower it to a little above what your clients need: weir replay shows what that is",
				"%s: in %v no client has come near the limit: at most %.0f %% of the burst was used at once", p.Name,
				time.Since(src.Started).Round(time.Hour), 100*d.peakOf(p))
		}
	}
	if dry && len(limiter.Policies) > 0 {
		add(allDry, adminapi.LevelInfo, "take dry-run off a limit when you know whom it would refuse", "all limits are dry runs: nothing is refused")
	}
}

// requests returns how many requests there were, at least.
func requests(st httpmw.Stats) uint64 {
	var most uint64
	for _, p := range st.Policies {
		most = max(most, p.Allowed+p.Denied+p.Spared)
	}
	return most + st.Exempt + st.Failed
}
