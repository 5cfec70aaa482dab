package replay

import (
	"errors"
	"strconv"
	"time"
)

// Bounds of the times of a log, in nanoseconds since 1970: an instant before or
// after is a mistake.
const (
	minTime = int64(0)
	maxTime = 84_006 * int64(day) // 2200 begins
)

// day is 24 hours: days of a log have no leap seconds.
const day = 24 * time.Hour

var (
	errCommonTime = errors.New(`the time is not like [17/May/2015:10:05:03 +0000]`)
	errTime       = errors.New(`the time is neither a number since 1970 nor like 2015-05-17T10:05:03Z or 17/May/2015:10:05:03 +0000`)
	errTimeRange  = errors.New("the time is out of range: want 1970 to 2199")
)

// A commonClock reads times of the common log format. It remembers the minute of
// the last one, since the next is mostly of the same.
type commonClock struct {
	minute [commonTime - 3]byte // all but the seconds: of a line of that minute
	at     int64                // when that minute began, in nanoseconds
	known  bool
}

// Where the parts of such a time are.
const (
	commonTime   = len("17/May/2015:10:05:03 +0000")
	commonMinute = len("17/May/2015:10:05")
)

// read reads a time that b begins with. It is false if there is none.
func (c *commonClock) read(b []byte) (int64, bool) {
	if len(b) < commonTime || b[commonMinute] != ':' {
		return 0, false
	}
	seconds, ok := digits(b[commonMinute+1 : commonMinute+3])
	if !ok || seconds > 60 { // 60 is a leap second
		return 0, false
	}
	minute, zone := b[:commonMinute], b[commonMinute+3:commonTime]
	if !c.known || string(minute) != string(c.minute[:commonMinute]) || string(zone) != string(c.minute[commonMinute:]) {
		at, ok := readMinute(minute, zone)
		if !ok {
			return 0, false
		}
		copy(c.minute[:], minute)
		copy(c.minute[commonMinute:], zone)
		c.at, c.known = at, true
	}
	return c.at + int64(seconds)*int64(time.Second), true
}

// readMinute reads a time without its seconds, and the zone with the space before it.
func readMinute(b, zone []byte) (int64, bool) {
	if b[2] != '/' || b[6] != '/' || b[11] != ':' || b[14] != ':' || zone[0] != ' ' {
		return 0, false
	}
	dayOf, ok1 := digits(b[0:2])
	year, ok2 := digits(b[7:11])
	hour, ok3 := digits(b[12:14])
	minute, ok4 := digits(b[15:17])
	month := monthOf(b[3:6])
	offset, ok5 := readZone(zone[1:])
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 || month == 0 {
		return 0, false
	}
	at, ok := instant(year, month, dayOf, hour, minute, 0, 0)
	return at - offset, ok
}

// monthOf returns the number of a month by its three letters, 0 if there is none.
func monthOf(b []byte) int {
	const names = "JanFebMarAprMayJunJulAugSepOctNovDec"
	for i := 0; i < len(names); i += 3 {
		if string(b) == names[i:i+3] {
			return i/3 + 1
		}
	}
	return 0
}

// readZone reads +hhmm or +hh:mm, and returns the nanoseconds that it is east.
func readZone(b []byte) (int64, bool) {
	if len(b) == 6 && b[3] == ':' {
		b = []byte{b[0], b[1], b[2], b[4], b[5]}
	}
	if len(b) != 5 || b[0] != '+' && b[0] != '-' {
		return 0, false
	}
	hours, ok1 := digits(b[1:3])
	minutes, ok2 := digits(b[3:5])
	if !ok1 || !ok2 || hours > 23 || minutes > 59 {
		return 0, false
	}
	offset := int64(hours)*int64(time.Hour) + int64(minutes)*int64(time.Minute)
	if b[0] == '-' {
		offset = -offset
	}
	return offset, true
}

// instant returns nanoseconds since 1970, or false if there is no such time.
func instant(year, month, dayOf, hour, minute, second, nano int) (int64, bool) {
	if year < 1970 || year > 2199 || month < 1 || month > 12 || dayOf < 1 || dayOf > daysIn(year, month) ||
		hour > 23 || minute > 59 || second > 60 {
		return 0, false
	}
	seconds := daysSince1970(year, month, dayOf)*86400 + int64(hour)*3600 + int64(minute)*60 + int64(second)
	return seconds*int64(time.Second) + int64(nano), true
}

func leap(year int) bool { return year%4 == 0 && (year%100 != 0 || year%400 == 0) }

func daysIn(year, month int) int {
	switch month {
	case 2:
		if leap(year) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// daysSince1970 counts the days before a date, with the year beginning in March,
// so that the leap day is its last.
func daysSince1970(year, month, dayOf int) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	days := 365*year + year/4 - year/100 + year/400 + (153*(month-3)+2)/5 + dayOf
	return int64(days - 719469) // of 1970-01-01, counted so
}

// digits reads a number that consists of digits.
func digits(b []byte) (int, bool) {
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, len(b) > 0
}

// readTime reads a time in one of the forms that tools write: seconds,
// milliseconds, microseconds or nanoseconds since 1970 (which it is can be told
// by the size), RFC 3339, also with a space in place of the T and without a
// zone, which is UTC then, or that of the common log format.
func readTime(b []byte, common *commonClock) (int64, error) {
	at, ok := int64(0), false
	switch {
	case len(b) > 5 && b[4] == '-':
		at, ok = readISO(b)
	case len(b) > 3 && b[2] == '/':
		if at, ok = common.read(b); len(b) != commonTime {
			ok = false
		}
	case len(b) > 0:
		return readNumber(b)
	}
	if !ok {
		return 0, errTime
	}
	if at < minTime || at >= maxTime {
		return 0, errTimeRange
	}
	return at, nil
}

// readISO reads 2015-05-17T10:05:03.123Z and the like.
func readISO(b []byte) (int64, bool) {
	const shortest = len("2015-05-17T10:05:03")
	if len(b) < shortest || b[4] != '-' || b[7] != '-' || b[10] != 'T' && b[10] != ' ' && b[10] != 't' || b[13] != ':' || b[16] != ':' {
		return 0, false
	}
	year, ok1 := digits(b[0:4])
	month, ok2 := digits(b[5:7])
	dayOf, ok3 := digits(b[8:10])
	hour, ok4 := digits(b[11:13])
	minute, ok5 := digits(b[14:16])
	second, ok6 := digits(b[17:19])
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 || !ok6 {
		return 0, false
	}
	b = b[shortest:]
	nano := 0
	if len(b) > 0 && (b[0] == '.' || b[0] == ',') {
		end := 1
		for end < len(b) && b[end] >= '0' && b[end] <= '9' {
			end++
		}
		if end == 1 {
			return 0, false
		}
		nano = fraction(b[1:end])
		b = b[end:]
	}
	if len(b) > 0 && b[0] == ' ' {
		b = b[1:]
	}
	at, ok := instant(year, month, dayOf, hour, minute, second, nano)
	switch string(b) {
	case "", "Z", "z", "UTC":
		return at, ok
	}
	offset, zoned := readZone(b)
	return at - offset, ok && zoned
}

// fraction returns the nanoseconds of the digits behind a point; those after the
// ninth are dropped.
func fraction(b []byte) int {
	n := 0
	for i := range 9 {
		n *= 10
		if i < len(b) {
			n += int(b[i] - '0')
		}
	}
	return n
}

// readNumber reads a time since 1970.
func readNumber(b []byte) (int64, error) {
	end := 0
	for end < len(b) && b[end] >= '0' && b[end] <= '9' {
		end++
	}
	whole, err := strconv.ParseInt(string(b[:end]), 10, 64)
	rest := b[end:]
	switch {
	case end == 0:
		return 0, errTime
	case err != nil: // it is too large
		return 0, errTimeRange
	case len(rest) > 0 && rest[0] == '.':
		if _, ok := digits(rest[1:]); !ok {
			return readFloat(b)
		}
		rest = rest[1:]
	case len(rest) > 0:
		return readFloat(b)
	}
	unit := unitOf(whole)
	if whole >= maxTime/unit {
		return 0, errTimeRange
	}
	at := whole * unit
	if len(rest) > 0 {
		at += int64(fraction(rest)) / (int64(time.Second) / unit)
	}
	return at, nil
}

// unitOf returns the nanoseconds of the unit that a time since 1970 is in. In
// each of them the numbers from 1973 on, to beyond maxTime, are apart from those
// of the others.
func unitOf(n int64) int64 {
	switch {
	case n < 1e11:
		return int64(time.Second)
	case n < 1e14:
		return int64(time.Millisecond)
	case n < 1e17:
		return int64(time.Microsecond)
	}
	return 1
}

// readFloat reads what only few write: 1.4318427e+09.
func readFloat(b []byte) (int64, error) {
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil || !isNumber(b) {
		return 0, errTime
	}
	if f < 0 || f > 9e18 {
		return 0, errTimeRange
	}
	if f *= float64(unitOf(int64(f))); f >= float64(maxTime) {
		return 0, errTimeRange
	}
	return int64(f), nil
}
