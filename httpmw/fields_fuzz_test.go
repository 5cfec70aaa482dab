package httpmw_test

import (
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dunglas/httpsfv"
	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

// FuzzHeaderFields has any limiter answer with any numbers, those of no
// normalized limit too, in each set of fields: a name that is taken makes
// fields that parse, and that say nothing below 0.
func FuzzHeaderFields(f *testing.F) {
	f.Add("default", 100, int64(time.Minute), 100, 99, int64(0), int64(time.Second), uint8(1), []byte(nil))
	f.Add("a", 1, int64(1), math.MaxInt32, 0, int64(bucket.Never), int64(bucket.Never), uint8(4), []byte{0, 0xff})
	f.Add("header:X-Api-Key", -1, int64(-1), -1, -1, int64(1), int64(-1), uint8(8), []byte(nil))
	f.Add("a", 0, int64(time.Second), 1, 0, int64(0), int64(0), uint8(9), []byte{})
	f.Add("a", 5, int64(-1), 5, 3, int64(0), int64(0), uint8(13), []byte(nil))
	f.Add("a", 5, int64(time.Second), 5, -3, int64(0), int64(0), uint8(17), []byte(nil))
	f.Add("a", math.MaxInt, int64(time.Second), 5, math.MaxInt, int64(0), int64(0), uint8(1), []byte("key"))
	f.Add("a", 1<<30, int64(1), 5, 1<<30, int64(0), int64(0), uint8(5), make([]byte, 65))
	f.Add(`a"b`, 0, int64(0), 0, 0, int64(0), int64(0), uint8(1), []byte(nil))
	sets := []httpmw.FieldSet{
		httpmw.Draft11, httpmw.Draft7, httpmw.Draft6, httpmw.XRateLimit, httpmw.NoFields,
		httpmw.Draft11 | httpmw.XRateLimit, httpmw.Draft7 | httpmw.XRateLimit, httpmw.Draft6 | httpmw.XRateLimit,
	}
	quiet := slog.New(slog.DiscardHandler)
	f.Fuzz(func(t *testing.T, name string, quota int, window int64, burst, remaining int, retry, reset int64, flags uint8, pk []byte) {
		d := bucket.Decision{
			Allowed: flags&1 != 0, DryRun: flags&2 != 0,
			Limit:     bucket.Limit{Quota: quota, Window: time.Duration(window), Burst: burst},
			Remaining: remaining, RetryAfter: time.Duration(retry), ResetAfter: time.Duration(reset),
		}
		l := scripted{names: []string{name, "z"}, decisions: []bucket.Decision{d, d}, allowed: d.Allowed}
		cfg := httpmw.Config{Keys: byIP(l), Logger: quiet, Fields: sets[flags>>2&7]}
		if cfg.Fields&httpmw.Draft11 != 0 && pk != nil {
			cfg.PartitionKey = func(*http.Request, string) []byte { return pk }
		}
		m, err := httpmw.New(l, cfg)
		if err != nil {
			t.Skip("not a name")
		}
		w := httptest.NewRecorder()
		m.Handler(http.NotFoundHandler()).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		h := w.Header()
		switch {
		case cfg.Fields&httpmw.Draft11 != 0:
			checkFields(t, h)
			checkParameters(t, h.Values("RateLimit"), l.names, pk)
			checkParameters(t, h.Values("RateLimit-Policy"), l.names, pk)
		case len(h.Values("RateLimit-Policy")) > 0:
			list, err := httpsfv.UnmarshalList(h.Values("RateLimit-Policy"))
			if err != nil {
				t.Fatalf("RateLimit-Policy %q: %v", h.Values("RateLimit-Policy"), err)
			}
			for _, member := range list {
				window, _ := member.(httpsfv.Item).Params.Get("w")
				if member.(httpsfv.Item).Value.(int64) < 1 || window.(int64) < 1 {
					t.Errorf("RateLimit-Policy %q", h.Values("RateLimit-Policy"))
				}
			}
		}
		if lines := h.Values("RateLimit"); cfg.Fields&httpmw.Draft7 != 0 && len(lines) > 0 {
			dict, err := httpsfv.UnmarshalDictionary(lines)
			if err != nil || len(lines) > 1 || len(dict.Names()) != 3 {
				t.Fatalf("RateLimit %q: %v", lines, err)
			}
			for i, name := range []string{"limit", "remaining", "reset"} {
				member, ok := dict.Get(name)
				if n, _ := member.(httpsfv.Item).Value.(int64); !ok || n < 0 || n == 0 && i != 1 {
					t.Errorf("RateLimit %q: %s", lines, name)
				}
			}
		}
		for _, field := range allFields[2:] {
			lines := h.Values(field)
			if len(lines) == 0 {
				continue
			}
			n, err := strconv.ParseInt(lines[0], 10, 64)
			if err != nil || len(lines) > 1 || n < 0 || n > 999_999_999_999_999 || n == 0 && !strings.HasSuffix(field, "Remaining") {
				t.Errorf("%s %q", field, lines)
			}
		}
		if lines := h.Values("Retry-After"); len(lines) > 0 && !(len(lines) == 1 && retryAfterText.MatchString(lines[0])) {
			t.Errorf("Retry-After %q", lines)
		}
		if w.Code != 404 {
			decode(t, w.Body.Bytes())
		}
	})
}

// checkParameters checks the items of a field of draft 11.
func checkParameters(t *testing.T, lines, names []string, pk []byte) {
	t.Helper()
	list, err := httpsfv.UnmarshalList(lines)
	if err != nil && len(lines) > 0 {
		t.Fatal(err) // which checkFields has seen
	}
	for i, member := range list {
		it := member.(httpsfv.Item)
		if it.Value != names[i] {
			t.Errorf("%q is not %q", it.Value, names[i])
		}
		for _, param := range it.Params.Names() {
			switch v, _ := it.Params.Get(param); v := v.(type) {
			case int64:
				if v < 0 || v == 0 && param != "r" {
					t.Errorf("%s=%d in %q", param, v, lines)
				}
			case []byte:
				if string(v) != string(pk) || len(v) > 64 {
					t.Errorf("%s=%q of %q", param, v, pk)
				}
			default:
				t.Errorf("%s=%v in %q", param, v, lines)
			}
		}
		if _, has := it.Params.Get("pk"); has != (len(pk) > 0 && len(pk) <= 64) {
			t.Errorf("partition key %q: %q", pk, lines)
		}
	}
}
