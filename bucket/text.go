package bucket

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// units are the words for a window. The first word of a unit is the one that
// is printed, where one is.
var units = map[string]time.Duration{
	"s": time.Second, "sec": time.Second, "second": time.Second, "seconds": time.Second,
	"m": time.Minute, "min": time.Minute, "minute": time.Minute, "minutes": time.Minute,
	"h": time.Hour, "hour": time.Hour, "hours": time.Hour,
	"d": day, "day": day, "days": day,
	"w": 7 * day, "week": 7 * day, "weeks": 7 * day,
}

// ParseLimit reads a limit as people write it:
//
//	100/min
//	1000/day burst 50
//	5/500ms
//	100/min strict
//
// that is a quota, a slash and a window, then the word strict if it is that, and
// the burst if it is not the one that goes without saying. The window is a unit (s, min, h, day, week, or their longer names), a
// whole number and a unit (15min, 7day), or a duration as in
// [time.ParseDuration] (1h30m). Case and extra space do not matter. The
// result is normalized.
func ParseLimit(text string) (Limit, error) {
	l, err := parseLimit(text)
	if err != nil {
		return Limit{}, fmt.Errorf("limit %q: %w", clip(text), err)
	}
	return l, nil
}

func parseLimit(text string) (Limit, error) {
	rate, burst, hasBurst := strings.Cut(strings.ToLower(text), "burst")
	var l Limit
	rate, l.Strict = cutStrict(rate)
	if !l.Strict {
		burst, l.Strict = cutStrict(burst)
	}
	quota, window, ok := strings.Cut(rate, "/")
	if !ok {
		return Limit{}, fmt.Errorf("want QUOTA/WINDOW [burst N], such as 100/min or 1000/day burst 50")
	}
	var err error
	if l.Quota, err = parseCount("quota", quota); err != nil {
		return Limit{}, err
	}
	if l.Window, err = parseWindow(window); err != nil {
		return Limit{}, err
	}
	if hasBurst {
		if l.Burst, err = parseCount("burst", burst); err != nil {
			return Limit{}, err
		}
	}
	return l.Normalize()
}

// cutStrict cuts the word strict off the end of text, and tells whether it was
// there.
func cutStrict(text string) (rest string, strict bool) {
	trimmed := strings.TrimSpace(text)
	rest, strict = strings.CutSuffix(trimmed, "strict")
	if strict && rest != strings.TrimSpace(rest) { // a word of its own
		return rest, true
	}
	return text, false
}

// parseCount reads a quota or a burst: decimal digits, no sign.
func parseCount(field, text string) (int, error) {
	text = strings.TrimSpace(text)
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%s %q: want a whole number from 1 to %d", field, clip(text), maxCount)
	}
	return int(n), nil
}

// parseWindow reads the part behind the slash.
func parseWindow(text string) (time.Duration, error) {
	text = strings.TrimSpace(text)
	digits := len(text) - len(strings.TrimLeft(text, "0123456789"))
	n := int64(1)
	if digits > 0 {
		var err error
		if n, err = strconv.ParseInt(text[:digits], 10, 64); err != nil {
			return 0, windowError(text)
		}
	}
	if unit, ok := units[strings.TrimSpace(text[digits:])]; ok {
		if n > int64(maxWindow/unit) {
			return 0, fmt.Errorf("window %q is out of range: want at most 366 days", clip(text))
		}
		return time.Duration(n) * unit, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, windowError(text)
	}
	return d, nil
}

func windowError(text string) error {
	return fmt.Errorf("window %q: want s, min, h, day, week, or a duration such as 500ms or 1h30m", clip(text))
}

// clip keeps a value short enough for an error message.
func clip(text string) string {
	if len(text) > 64 {
		return text[:64] + "…"
	}
	return text
}

// String returns the limit as [ParseLimit] reads it. The burst is left out
// where it is what a Burst of 0 means.
func (l Limit) String() string {
	text := strconv.Itoa(l.Quota) + "/" + windowText(l.Window)
	if l.Strict {
		text += " strict"
	}
	if l.Burst != 0 && l.Burst != l.defaultBurst() {
		text += " burst " + strconv.Itoa(l.Burst)
	}
	return text
}

// windowText returns a window as parseWindow reads it.
func windowText(d time.Duration) string {
	switch {
	case d == time.Second:
		return "s"
	case d == time.Minute:
		return "min"
	case d == time.Hour:
		return "h"
	case d == day:
		return "day"
	case d > 0 && d%day == 0:
		return strconv.FormatInt(int64(d/day), 10) + "day"
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// MarshalText is [Limit.String], so that a Limit can be a value in JSON, in
// YAML and of a flag ([flag.TextVar]). A limit that is not valid is an error.
func (l Limit) MarshalText() ([]byte, error) {
	if _, err := l.Normalize(); err != nil {
		return nil, err
	}
	return []byte(l.String()), nil
}

// UnmarshalText is [ParseLimit]. After an error l is unchanged.
func (l *Limit) UnmarshalText(text []byte) error {
	parsed, err := ParseLimit(string(text))
	if err != nil {
		return err
	}
	*l = parsed
	return nil
}
