package bucket_test

import (
	"encoding/json"
	"flag"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/seed-0c889b51/weir/bucket"
)

const day = 24 * time.Hour

func TestLimitBounds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		why   string
		limit bucket.Limit
		err   string // part of the error; "" is valid
	}{
		{"the usual", bucket.PerMinute(100), ""},
		{"burst 0 is the quota", bucket.Limit{Quota: 5, Window: time.Second}, ""},
		{"the largest quota and burst", bucket.Limit{Quota: math.MaxInt32, Window: time.Hour, Burst: math.MaxInt32}, ""},
		{"the slowest rate", bucket.Limit{Quota: 1, Window: 366 * day}, ""},
		{"the fastest rate: one a nanosecond", bucket.Limit{Quota: 1, Window: 1}, ""},
		{"the zero limit would deny or admit all", bucket.Limit{}, "quota 0 is out of range: want 1 to 2147483647"},
		{"negative quota", bucket.PerSecond(-1), "quota -1 is out of range"},
		{"no window: rate.Limiter admits everything at an infinite rate", bucket.Limit{Quota: 1}, "window 0s is out of range"},
		{"negative window", bucket.Limit{Quota: 1, Window: -1}, "window -1ns is out of range"},
		{"a window beyond the longest", bucket.Limit{Quota: 1, Window: 366*day + 1}, "at most 366 days"},
		{"negative burst", bucket.Limit{Quota: 1, Window: 1, Burst: -1}, "burst -1 is out of range: want 1 to 2147483647"},
		{"faster than a clock can tell", bucket.Limit{Quota: 2, Window: 1}, "rate 2e+09 per second"},
		{"strict, with the burst that goes without saying", bucket.Limit{Quota: 100, Window: time.Minute, Strict: true}, ""},
		{"strict, with as little to refill as there can be", bucket.Limit{Quota: 100, Window: time.Minute, Burst: 99, Strict: true}, ""},
		{"strict, of one", bucket.Limit{Quota: 1, Window: time.Minute, Strict: true}, ""},
		{"strict, as large as can be", bucket.Limit{Quota: 1 << 26, Window: time.Second, Strict: true}, ""},
		{"strict, and nothing to refill", bucket.Limit{Quota: 100, Window: time.Minute, Burst: 100, Strict: true}, "burst 100 of a strict limit of 100 is out of range: want 1 to 99, so that something is left to refill, or 0"},
		{"strict, of one, and more at once", bucket.Limit{Quota: 1, Window: time.Minute, Burst: 2, Strict: true}, "burst 2 of a strict limit of 1 is out of range: want 1 to 1"},
		{"strict, and so many that rounding would let one more through", bucket.Limit{Quota: 1<<26 + 1, Window: time.Hour, Strict: true}, "quota 67108865 of a strict limit is out of range: want 1 to 67108864"},
		{"strict, and so fast that a nanosecond would", bucket.Limit{Quota: 200, Window: time.Microsecond, Burst: 10, Strict: true}, "rate 1.9e+08 per second of a strict limit is out of range: want at most 1e+08, one in 10ns"},
		{"a debt that no time.Duration holds", bucket.Limit{Quota: 1, Window: 366 * day, Burst: 1000}, "takes 1003 years to refill: want at most 100"},
	} {
		t.Run(tt.why, func(t *testing.T) {
			t.Parallel()
			got, err := tt.limit.Normalize()
			_, newErr := bucket.New(tt.limit)
			if tt.err == "" {
				if err != nil || newErr != nil {
					t.Fatalf("Normalize(%#v) = %v, New: %v, want no error", tt.limit, err, newErr)
				}
				if got.Burst < 1 || got.Refill() <= 0 || got.Refill() == bucket.Never {
					t.Errorf("Normalize(%#v) = %#v with refill %v", tt.limit, got, got.Refill())
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.err) || newErr == nil {
				t.Errorf("Normalize(%#v) error %v, New: %v; want %q", tt.limit, err, newErr, tt.err)
			}
		})
	}
}

func TestLimitText(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text string
		want bucket.Limit
		out  string // as printed; "" is as read
	}{
		{"100/min", bucket.PerMinute(100), ""},
		{"1000/day burst 50", bucket.Limit{Quota: 1000, Window: day, Burst: 50}, ""},
		{"5/500ms", bucket.Limit{Quota: 5, Window: 500 * time.Millisecond, Burst: 5}, ""},
		{"1/s", bucket.PerSecond(1), ""},
		{"60/h", bucket.PerHour(60), ""},
		{"1/7day", bucket.Limit{Quota: 1, Window: 7 * day, Burst: 1}, ""},
		{"1/1h30m", bucket.Limit{Quota: 1, Window: 90 * time.Minute, Burst: 1}, ""},
		{"1/1h0m5s", bucket.Limit{Quota: 1, Window: time.Hour + 5*time.Second, Burst: 1}, ""},
		{"2147483647/h burst 2147483647", bucket.PerHour(math.MaxInt32), "2147483647/h"},
		{"1/366day", bucket.Limit{Quota: 1, Window: 366 * day, Burst: 1}, ""},
		{"100/min strict", bucket.Limit{Quota: 100, Window: time.Minute, Burst: 10, Strict: true}, ""},
		{"100/min strict burst 40", bucket.Limit{Quota: 100, Window: time.Minute, Burst: 40, Strict: true}, ""},
		{"100/min burst 40 Strict ", bucket.Limit{Quota: 100, Window: time.Minute, Burst: 40, Strict: true}, "100/min strict burst 40"},
		{"101/min STRICT burst 11", bucket.Limit{Quota: 101, Window: time.Minute, Burst: 11, Strict: true}, "101/min strict"},
		{"1/min strict", bucket.Limit{Quota: 1, Window: time.Minute, Burst: 1, Strict: true}, ""},
		{"2/1h30m strict", bucket.Limit{Quota: 2, Window: 90 * time.Minute, Burst: 1, Strict: true}, ""},
		{" 100 / Minute  BURST  200 ", bucket.Limit{Quota: 100, Window: time.Minute, Burst: 200}, "100/min burst 200"},
		{"100/60s", bucket.PerMinute(100), "100/min"},
		{"100/1min burst 100", bucket.PerMinute(100), "100/min"},
		{"100/m", bucket.PerMinute(100), "100/min"},
		{"1/2 weeks", bucket.Limit{Quota: 1, Window: 14 * day, Burst: 1}, "1/14day"},
		{"1/90m", bucket.Limit{Quota: 1, Window: 90 * time.Minute, Burst: 1}, "1/1h30m"},
		{"1/120min", bucket.Limit{Quota: 1, Window: 2 * time.Hour, Burst: 1}, "1/2h"},
	} {
		got, err := bucket.ParseLimit(tt.text)
		if err != nil || got != tt.want {
			t.Errorf("ParseLimit(%q) = %+v, %v, want %+v", tt.text, got, err, tt.want)
		}
		if want := tt.out; want == "" && got.String() != tt.text || want != "" && got.String() != want {
			t.Errorf("ParseLimit(%q).String() = %q, want %q", tt.text, got, want)
		}
	}
}

func TestLimitTextErrors(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                              `limit "": want QUOTA/WINDOW [burst N], such as 100/min or 1000/day burst 50`,
		"100":                           `limit "100": want QUOTA/WINDOW`,
		"unlimited":                     `limit "unlimited": want QUOTA/WINDOW`,
		"0/min":                         `quota "0": want a whole number from 1 to 2147483647`,
		"-5/min":                        `quota "-5": want`,
		"+5/min":                        `quota "+5": want`,
		"1.5/min":                       `quota "1.5": want`,
		"NaN/min":                       `quota "nan": want`,
		"1e3/min":                       `quota "1e3": want`,
		"2147483648/min":                `quota "2147483648": want`,
		"/min":                          `quota "": want`,
		"100/":                          `window "": want s, min, h, day, week, or a duration such as 500ms or 1h30m`,
		"100/fortnight":                 `window "fortnight": want`,
		"100/0s":                        `window 0s is out of range`,
		"100/-1s":                       `window -1s is out of range`,
		"100/367day":                    `window "367day" is out of range: want at most 366 days`,
		"100/8784h1s":                   `out of range: want more than 0s, at most 366 days`,
		"100/99999999999999999999day":   `window "99999999999999999999day": want`,
		"100/8785h":                     `window "8785h" is out of range: want at most 366 days`,
		"100/min burst":                 `burst "": want`,
		"100/min burst 0":               `burst "0": want`,
		"100/min burst -1":              `burst "-1": want`,
		"100/min burst 5 or 6":          `burst "5 or 6": want`,
		"100/min/2":                     `window "min/2": want`,
		"100/minstrict":                 `window "minstrict": want`,
		"100/min strict strict":         `window "min strict": want`,
		"100/min strict burst 5 strict": `burst "5 strict": want`,
		"100/min burst strict":          `burst "strict": want`,
		"strict 100/min":                `quota "strict 100": want`,
		"100/min strict burst 100":      `burst 100 of a strict limit of 100 is out of range: want 1 to 99`,
		"100/strict":                    `window "strict": want`,
		strings.Repeat("x", 1<<20):      `…": want QUOTA/WINDOW`,
	} {
		got, err := bucket.ParseLimit(text)
		if err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 300 {
			t.Errorf("ParseLimit(%.40q) = %v, %v; want an error with %q", text, got, err, want)
		}
	}
}

func TestLimitIsAValueInJSONAndFlags(t *testing.T) {
	t.Parallel()
	type config struct{ Limit bucket.Limit }
	in := config{bucket.Limit{Quota: 1000, Window: day, Burst: 50}}
	text, err := json.Marshal(in)
	if err != nil || string(text) != `{"Limit":"1000/day burst 50"}` {
		t.Errorf("json: %s, %v", text, err)
	}
	out := config{bucket.PerSecond(7)}
	if err := json.Unmarshal([]byte(`{"Limit":"100/never"}`), &out); err == nil || out.Limit != bucket.PerSecond(7) {
		t.Errorf("a bad limit in JSON: %v, and the old value became %v", err, out.Limit)
	}
	if err := json.Unmarshal(text, &out); err != nil || out != in {
		t.Errorf("json: %+v, %v, want %+v", out, err, in)
	}
	if _, err := json.Marshal(config{}); err == nil {
		t.Error("the zero limit was written to JSON")
	}

	var l bucket.Limit
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	fs.TextVar(&l, "limit", bucket.PerSecond(1), "")
	if err := fs.Parse([]string{"-limit", "100/min burst 20"}); err != nil || l != (bucket.Limit{Quota: 100, Window: time.Minute, Burst: 20}) {
		t.Errorf("flag: %v, %v", l, err)
	}
}

// limits draws limits over the whole range that is valid.
func limits() *rapid.Generator[bucket.Limit] {
	return rapid.Custom(func(t *rapid.T) bucket.Limit {
		l := bucket.Limit{
			Quota:  rapid.OneOf(rapid.IntRange(1, 20), rapid.IntRange(1, math.MaxInt32)).Draw(t, "quota"),
			Window: time.Duration(rapid.OneOf(rapid.Int64Range(1, int64(time.Minute)), rapid.Int64Range(1, int64(366*day))).Draw(t, "window")),
			Burst:  rapid.OneOf(rapid.IntRange(0, 20), rapid.IntRange(0, math.MaxInt32)).Draw(t, "burst"),
			Strict: rapid.IntRange(0, 3).Draw(t, "strict") == 0,
		}
		l, err := l.Normalize()
		if err != nil {
			t.Skip("not valid")
		}
		return l
	})
}

func TestLimitTextRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := limits().Draw(t, "limit")
		got, err := bucket.ParseLimit(l.String())
		if err != nil || got != l {
			t.Fatalf("ParseLimit(%q) = %#v, %v, want %#v", l, got, err, l)
		}
	})
}

func FuzzParseLimit(f *testing.F) {
	for _, s := range []string{"100/min", "1000/day burst 50", "5/500ms", "1/1h30m", "100/8785h", "0/s", "1/µs", "burst/burst", "1/s burst 1/s", "100/min strict", "9/s strict burst 2", "strict"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l, err := bucket.ParseLimit(text)
		if err != nil {
			if l != (bucket.Limit{}) {
				t.Errorf("ParseLimit(%q) = %v with error %v", text, l, err)
			}
			return
		}
		if n, err := l.Normalize(); err != nil || n != l {
			t.Errorf("ParseLimit(%q) = %#v is not normalized: %#v, %v", text, l, n, err)
		}
		if again, err := bucket.ParseLimit(l.String()); err != nil || again != l {
			t.Errorf("ParseLimit(%q) prints %q, which reads as %v, %v", text, l, again, err)
		}
	})
}
