package replay

import (
	"testing"
	"time"
)

func TestReadTime(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, want, why string }{
		{"1431857103", "2015-05-17T10:05:03Z", "seconds"},
		{"1431857103.5", "2015-05-17T10:05:03.5Z", "seconds and a fraction"},
		{"1646861401.5241024", "2022-03-09T21:30:01.5241024Z", "as Caddy writes it, to the last digit"},
		{"1431857103.1234567891234", "2015-05-17T10:05:03.123456789Z", "what is below a nanosecond is dropped"},
		{"1431857103123", "2015-05-17T10:05:03.123Z", "milliseconds"},
		{"1431857103123.75", "2015-05-17T10:05:03.12375Z", "milliseconds and a fraction"},
		{"1431857103123456", "2015-05-17T10:05:03.123456Z", "microseconds"},
		{"1431857103123456789", "2015-05-17T10:05:03.123456789Z", "nanoseconds"},
		{"1.431857103e9", "2015-05-17T10:05:03Z", "with an exponent"},
		{"0", "1970-01-01T00:00:00Z", "the first there is"},
		{"2015-05-17T10:05:03Z", "2015-05-17T10:05:03Z", "RFC 3339"},
		{"2015-05-17T10:05:03.25Z", "2015-05-17T10:05:03.25Z", "with a fraction"},
		{"2015-05-17 10:05:03,250", "2015-05-17T10:05:03.25Z", "with a space and a comma"},
		{"2015-05-17T10:05:03+02:00", "2015-05-17T08:05:03Z", "east"},
		{"2015-05-17T10:05:03.000-0930", "2015-05-17T19:35:03Z", "west, without a colon"},
		{"2015-05-17 10:05:03 +0000", "2015-05-17T10:05:03Z", "a zone after a space"},
		{"2015-05-17 10:05:03 UTC", "2015-05-17T10:05:03Z", "a zone in words"},
		{"17/May/2015:10:05:03 -0800", "2015-05-17T18:05:03Z", "the common log format"},
		{"29/Feb/2024:23:59:60 +0000", "2024-03-01T00:00:00Z", "a leap second of a leap day"},
		{"2000-02-29T00:00:00Z", "2000-02-29T00:00:00Z", "a leap year of a century"},
		{"31/Dec/2199:23:59:59 +0000", "2199-12-31T23:59:59Z", "late"},
	} {
		want, err := time.Parse(time.RFC3339Nano, tt.want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := readTime([]byte(tt.text), &commonClock{})
		if err != nil || got != want.UnixNano() {
			t.Errorf("%s: %q is %v, %v: want %v", tt.why, tt.text, time.Unix(0, got).UTC(), err, want)
		}
	}
	for _, tt := range []struct {
		text string
		want error
	}{
		{"", errTime}, {"-", errTime}, {"-5", errTime}, {"now", errTime}, {"10:05:03", errTime}, {"1e", errTime}, {"12x", errTime}, {"1.", errTime},
		{"99999999999999999999", errTimeRange}, {"9999999999999999999", errTimeRange}, {"99999999999", errTimeRange}, {"10000000000", errTimeRange}, {"1e300", errTimeRange}, {"0x1p31", errTime}, {"1_0", errTime}, {"NaN", errTime},
		{"2015-02-29T00:00:00Z", errTime}, {"1900-01-01T00:00:00Z", errTime}, {"2200-01-01T00:00:00Z", errTime}, {"2015-13-01T00:00:00Z", errTime}, {"2015-05-17", errTime},
		{"2015-05-17T24:00:00Z", errTime}, {"2015-05-17T10:05:03.Z", errTime}, {"2015-05-17T10:05:03 CET", errTime}, {"2015-05-17T10:05:03+25:00", errTime},
		{"17/Mai/2015:10:05:03 +0000", errTime}, {"17/May/2015:10:05:03 +0000 ", errTime}, {"17/May/2015:10:05:61 +0000", errTime}, {"31/Apr/2015:10:05:03 +0000", errTime},
		{"17/May/2015:10:05:03", errTime}, {"01/Jan/1970:00:00:00 +0100", errTimeRange},
	} {
		if got, err := readTime([]byte(tt.text), &commonClock{}); err != tt.want {
			t.Errorf("%q is %d, %v: want %v", tt.text, got, err, tt.want)
		}
	}
}

// Each day there is, by what time.Date makes of it.
func TestDaysSince1970(t *testing.T) {
	t.Parallel()
	for d, at := int64(0), time.Unix(0, 0).UTC(); at.Year() < 2200; d, at = d+1, at.AddDate(0, 0, 1) {
		year, month, dayOf := at.Date()
		if got := daysSince1970(year, int(month), dayOf); got != d {
			t.Fatalf("%v is day %d: want %d", at, got, d)
		}
		if last := at.AddDate(0, 0, 1).Day() == 1; last != (dayOf == daysIn(year, int(month))) {
			t.Fatalf("%v: the month has %d days", at, daysIn(year, int(month)))
		}
	}
}

// The minute that is remembered is not taken for another.
func TestCommonClockRemembers(t *testing.T) {
	t.Parallel()
	var c commonClock
	for _, text := range []string{
		"17/May/2015:10:05:03 +0000", "17/May/2015:10:05:59 +0000", "17/May/2015:10:06:00 +0000", "17/May/2015:10:06:00 +0001",
		"17/May/2015:10:06:00 +0000", "18/May/2015:10:06:00 +0000", "17/Mar/2015:10:06:00 +0000", "17/May/2014:10:06:00 +0000",
	} {
		want, err := time.Parse("02/Jan/2006:15:04:05 -0700", text)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := c.read([]byte(text)); !ok || got != want.UnixNano() {
			t.Errorf("%q is %v, %v", text, time.Unix(0, got).UTC(), ok)
		}
		if _, ok := c.read([]byte("17/Mad/2015:10:06:00 +0000")); ok {
			t.Error("a month that is none is read")
		}
	}
}
