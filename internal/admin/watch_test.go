package admin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
	"github.com/seed-0c889b51/weir/internal/admin"
	"github.com/seed-0c889b51/weir/internal/adminapi"
)

// A refusal has an id by which its reason is found.
func TestDecisions(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	base := s.serve(t)
	for range 5 {
		if w := s.ask(from("203.0.113.7")); w.Header().Get(admin.FieldID) != "" {
			t.Errorf("what is allowed has an id: %v", w.Header())
		}
	}
	w := s.ask(from("203.0.113.7"), func(r *http.Request) {
		r.Method, r.URL.Path, r.URL.RawQuery = "POST", "/login", "password=hunter2"
	})
	id := w.Header().Get(admin.FieldID)
	if w.Code != 429 || !regexp.MustCompile(`^[0-9a-f]{16}$`).MatchString(id) {
		t.Fatalf("%d, id %q", w.Code, id)
	}
	d := get[adminapi.Denial](t, base+adminapi.PathDecisions+id, owner)
	if d.ID != id || d.Method != "POST" || d.Path != "/login" || d.Policy != "ip" || d.Limit != "5/min" || d.Key != "203.0.113.7" ||
		d.Cost != 1 || d.Remaining != 0 || d.RetryAfterMs <= 11_000 || d.RetryAfterMs > 12_000 || d.ResetAfterMs > 60_000 || time.Since(d.At) > time.Minute {
		t.Errorf("%+v", d)
	}
	for _, other := range []string{"0", strings.Repeat("0", 16), strings.ToUpper(id) + "A", id + "0", id[1:], "%00"} {
		if res := send(t, "GET", base+adminapi.PathDecisions+other, "", owner); res.StatusCode != 404 {
			t.Errorf("id %q: %s", other, res.Status)
		}
	}
}

// A few thousand denials are kept, however many there are.
func TestDecisionsAreBounded(t *testing.T) {
	t.Parallel()
	w := admin.NewWatch(admin.WatchConfig{Logger: slog.New(slog.DiscardHandler), IDs: true})
	r := httptest.NewRequest("GET", "/"+strings.Repeat("x", 9999), nil)
	var ids []string
	for range 5000 {
		to := httptest.NewRecorder()
		w.Denied(to, r, httpmw.Denial{Policy: "ip", Key: "k"})
		ids = append(ids, to.Header().Get(admin.FieldID))
	}
	found := 0
	for i, id := range ids {
		d, ok := w.Find(id)
		if ok != (i >= 5000-4096) {
			t.Fatalf("of 5000, number %d is found: %v", i, ok)
		}
		if ok {
			found++
			if d.ID != id || len(d.Path) > 256 {
				t.Fatalf("%+v", d)
			}
		}
	}
	if found != 4096 {
		t.Errorf("%d are found", found)
	}
}

// denials logs to a book, in JSON.
func denials(b *book, names func(string) string) *admin.Watch {
	return admin.NewWatch(admin.WatchConfig{Logger: slog.New(slog.NewJSONHandler(b, nil)), Names: names})
}

// A line is one of the log.
type line struct {
	Msg          string  `json:"msg"`
	Limit        string  `json:"limit"`
	Key          string  `json:"key"`
	RetryAfter   any     `json:"retry_after_s"`
	Denied       uint64  `json:"denied"`
	For          float64 `json:"for_s"`
	LinesLeftOut uint64  `json:"lines_left_out"`
	Others       uint64  `json:"denials_of_other_keys"`
}

func lines(t *testing.T, b *book) []line {
	t.Helper()
	var all []line
	for _, text := range b.lines() {
		var l line
		if text == "" {
			continue
		}
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatal(err)
		}
		all = append(all, l)
	}
	return all
}

func deny(w *admin.Watch, policy, key string, wait time.Duration) {
	w.Denied(httptest.NewRecorder(), &http.Request{}, httpmw.Denial{Policy: policy, Key: key, Decision: bucket.Decision{RetryAfter: wait}})
}

// The log has a line when a key is over its limit, at each power of ten of its
// denials, and when it is within the limit again: not one for each denial.
func TestLogOfChanges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &book{}
		w := denials(b, nil)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go w.Run(ctx)
		for range 150 {
			deny(w, "ip", "4\xcb\x00\x71\x07", 100*time.Second)
			time.Sleep(200 * time.Millisecond)
		}
		time.Sleep(99 * time.Second)
		synctest.Wait()
		got := lines(t, b)
		if len(got) != 3 {
			t.Fatalf("before it is free: %+v", got)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		got = lines(t, b)
		want := []line{
			{Msg: "a key is over its limit", Limit: "ip", RetryAfter: 100.0},
			{Msg: "a key stays over its limit", Limit: "ip", RetryAfter: 100.0, Denied: 10},
			{Msg: "a key stays over its limit", Limit: "ip", RetryAfter: 100.0, Denied: 100},
			{Msg: "a key is within its limit again", Limit: "ip", Denied: 150, For: 30},
		}
		if len(got) != len(want) {
			t.Fatalf("%+v", got)
		}
		for i := range want {
			want[i].Key = got[0].Key
			if got[i] != want[i] {
				t.Errorf("line %d: %+v, want %+v", i, got[i], want[i])
			}
		}
		if !regexp.MustCompile(`^#[0-9a-f]{12}$`).MatchString(got[0].Key) {
			t.Errorf("the key is called %q", got[0].Key)
		}
		deny(w, "ip", "4\xcb\x00\x71\x07", time.Second)
		if got := lines(t, b); len(got) != 5 || got[4].Msg != "a key is over its limit" || got[4].Key != got[0].Key {
			t.Errorf("denied anew: %+v", got)
		}
	})
}

// A key that is denied now and then stays over its limit until it has been quiet.
func TestLogOfAKeyAtItsLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &book{}
		w := denials(b, nil)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go w.Run(ctx)
		for range 60 {
			deny(w, "ip", "a", time.Millisecond)
			time.Sleep(9 * time.Second)
		}
		synctest.Wait()
		if got := lines(t, b); len(got) != 2 {
			t.Errorf("%+v, want one line and that of the tenth", got)
		}
	})
}

// Whoever brings denials about does not choose how much is logged.
func TestLogIsLimited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &book{}
		w := denials(b, nil)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go w.Run(ctx)
		const seconds, each = 60, 1000
		for i := range seconds {
			for j := range each {
				deny(w, "ip", fmt.Sprint(i, "-", j), 5*time.Second)
			}
			time.Sleep(time.Second)
		}
		synctest.Wait()
		got := lines(t, b)
		if n := len(got); n > 10*(seconds+1) || n < 100 {
			t.Errorf("%d lines of %d keys in %d s, want at most 10 a second", n, seconds*each, seconds)
		}
		var said, untold, others uint64
		for _, l := range got {
			said++
			untold += l.LinesLeftOut + l.Others
			others += l.Others
		}
		if untold == others {
			t.Error("no line tells how many were left out")
		}
		if others < seconds*each/2 { // a thousand keys are looked at for 15 s each
			t.Errorf("%d of %d denials were of keys that are not looked at", others, seconds*each)
		}
		if said+untold > 2*seconds*each {
			t.Errorf("%d lines and %d left out are more than there can be", said, untold)
		}
	})
}

// With names the log says who it is; otherwise no line has the key.
func TestLogOfNames(t *testing.T) {
	t.Parallel()
	named, hashed := &book{}, &book{}
	deny(denials(named, strings.ToUpper), "ip", "alice", time.Second)
	deny(denials(hashed, nil), "ip", "alice", bucket.Never)
	if got := lines(t, named); got[0].Key != "ALICE" {
		t.Errorf("%+v", got)
	}
	if got := lines(t, hashed); strings.Contains(strings.ToLower(hashed.lines()[0]), "alice") || got[0].RetryAfter != "never" {
		t.Errorf("%s", hashed.lines())
	}
	other := &book{}
	deny(denials(other, nil), "ip", "alice", bucket.Never)
	if lines(t, other)[0].Key == lines(t, hashed)[0].Key {
		t.Error("two runs call a key the same, so that a hash tells who it is by trying")
	}
}
