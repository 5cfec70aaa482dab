package config

import (
	"strconv"
	"strings"
	"time"

	"github.com/seed-0c889b51/weir/internal/policy"
)

// inFlight reads how many requests may be in flight.
func (l *loader) inFlight() {
	cfg := &l.cfg.Serve
	for _, s := range l.few(l.values["in-flight"].list) {
		f, ok := l.oneInFlight(s)
		if !ok {
			continue
		}
		if cfg.ForwardAuth != "" {
			l.fail(s, "with %s no request is in flight here, but at the proxy that asks: want one of them", called(s, "forward-auth", ""))
		}
		for i, before := range cfg.InFlight {
			if before.Name == f.Name && f.Name == f.Key.String()+inFlightSuffix && before.Key.String() == f.Key.String() {
				text := before.String()
				if l.ofInFlight[i].of == nil {
					text = l.ofInFlight[i].text
				}
				l.fail(s, "%s has the same key: want one number for each key", quote(text))
			}
		}
		cfg.InFlight, l.ofInFlight = append(cfg.InFlight, f), append(l.ofInFlight, s)
	}
}

// oneInFlight reads one of them.
func (l *loader) oneInFlight(s scalar) (policy.InFlight, bool) {
	file, ok := s.of.(*inFlightFile)
	if !ok {
		f, err := policy.ParseInFlight(s.text)
		return f, l.check(s, err) && l.check(s, l.believed(f.Key, s))
	}
	ok = !s.broken
	var f policy.InFlight
	if file.Key.given() {
		key, err := policy.ParseKey(file.Key.text)
		if err == nil {
			err = l.believed(key, file.Key)
		}
		if err == nil {
			f, err = policy.NewInFlight(key, 0)
		}
		ok = l.check(file.Key, err) && ok
	} else if ok {
		l.fail(s, "there is no key: want whose requests count together, such as key: ip")
		ok = false
	}
	if file.Max.given() {
		f.Max = l.whole(file.Max, 1, maxInt32, 0)
	} else if !s.broken {
		l.fail(s, "there is no max: want how many requests there may be at once, such as max: 10")
	}
	if file.Name.given() {
		f.Name = l.name(file.Name)
	}
	if file.RetryAfter.given() {
		d, err := parseTime(file.RetryAfter.text, time.Nanosecond, 366*24*time.Hour)
		l.check(file.RetryAfter, err)
		f.RetryAfter = d
	}
	f.Missing = l.missing(file.Missing, f.Key)
	f.Routes = l.patterns(file.Routes)
	return f, ok
}

// names checks that no two limits have one name.
func (l *loader) names() {
	taken := map[string]string{} // by what
	take := func(s scalar, name, what string) {
		if name == "" { // it could not be named, which was said
			return
		}
		if before, ok := taken[name]; ok {
			l.fail(s, "name %s is that of %s: want different names", quote(name), before)
			return
		}
		taken[name] = what
	}
	for i, p := range l.cfg.Serve.Policies {
		s, what := l.of[i], "policy "+strconv.Itoa(i+1)
		file, ok := s.of.(*policyFile)
		if ok && file.Name.given() {
			s = file.Name
		}
		take(s, p.Name, what)
		if ok {
			for _, previous := range file.PreviousNames {
				take(previous, previous.text, what+", before or now")
			}
		}
	}
	for i, f := range l.cfg.Serve.InFlight {
		s := l.ofInFlight[i]
		if file, ok := s.of.(*inFlightFile); ok && file.Name.given() {
			s = file.Name
		} else if i > 0 && strings.HasPrefix(taken[f.Name], inFlightOwner) {
			continue // the same key, which was said
		}
		take(s, f.Name, inFlightOwner+strconv.Itoa(i+1))
	}
}

// inFlightSuffix ends the names of limits of requests in flight that have none of
// their own: see policy.InFlight.
const inFlightSuffix = "/in-flight"

const inFlightOwner = "limit of requests in flight "
