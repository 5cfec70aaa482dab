package adminview

import (
	"time"

	"github.com/seed-0c889b51/weir/internal/adminapi"
)

const points = 60 // that are kept of each

// A Trend is what each limit allowed and denied a second, of late. The zero Trend
// knows nothing yet; nil never does.
type Trend struct {
	started time.Time // of the server, whose counts begin there
	uptime  int64     // ms, at the latest
	limits  map[string]*trend
}

type trend struct {
	allowed, denied         uint64 // at the latest
	allowedEach, deniedEach []float64
}

// Add notes a status. One that is no newer than the latest adds nothing.
func (t *Trend) Add(s *adminapi.Status) {
	if t.limits == nil || !s.Started.Equal(t.started) {
		*t = Trend{started: s.Started, uptime: s.UptimeMs, limits: map[string]*trend{}}
	} else if s.UptimeMs <= t.uptime {
		return
	}
	passed := float64(s.UptimeMs-t.uptime) / 1000
	t.uptime = s.UptimeMs
	now := make(map[string]*trend, len(s.Policies))
	for _, p := range s.Policies {
		of := t.limits[p.Name]
		if of == nil {
			of = &trend{allowed: p.Allowed, denied: p.Denied}
		} else if passed > 0 {
			of.allowedEach = push(of.allowedEach, since(of.allowed, p.Allowed)/passed)
			of.deniedEach = push(of.deniedEach, since(of.denied, p.Denied)/passed)
		}
		of.allowed, of.denied = p.Allowed, p.Denied
		now[p.Name] = of
	}
	t.limits = now
}

// since is how much a count has grown; one that fell has begun anew.
func since(before, now uint64) float64 {
	if now < before {
		return 0
	}
	return float64(now - before)
}

func push(list []float64, v float64) []float64 {
	list = append(list, v)
	return list[max(0, len(list)-points):]
}

// of returns the points of a limit, oldest first.
func (t *Trend) of(name string) (allowed, denied []float64) {
	if t == nil || t.limits[name] == nil {
		return nil, nil
	}
	return t.limits[name].allowedEach, t.limits[name].deniedEach
}
