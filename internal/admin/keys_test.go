package admin_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/httpmw"
	"github.com/seed-0c889b51/weir/internal/adminapi"
)

// The keys with the least left come first, and no credential is among them.
func TestKeys(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	const secret = "hunter2hunter2"
	for i := 1; i <= 9; i++ {
		for range i {
			s.ask(from(fmt.Sprintf("203.0.113.%d", i)), field("X-Api-Key", secret))
		}
	}
	base := s.serve(t)
	list := get[[]adminapi.Key](t, base+adminapi.PathKeys+"?policy=ip&n=3", owner)
	if len(list) != 3 {
		t.Fatalf("%+v", list)
	}
	for _, k := range list {
		if k.Policy != "ip" || k.Remaining != 0 || k.Burst != 5 || k.RetryAfterMs <= 0 || k.RetryAfterMs > 12_000 || k.ResetAfterMs <= 48_000 ||
			!strings.HasPrefix(k.Key, "203.0.113.") {
			t.Errorf("%+v", k)
		}
	}
	all := get[[]adminapi.Key](t, base+adminapi.PathKeys+"?n=1000", owner)
	if len(all) != 10 {
		t.Errorf("%d keys, want 9 addresses and a credential: %+v", len(all), all)
	}
	if !slices.IsSortedFunc(all, func(a, b adminapi.Key) int { return a.Remaining*b.Burst - b.Remaining*a.Burst }) {
		t.Errorf("not in order: %+v", all)
	}
	if res := send(t, "GET", base+adminapi.PathKeys+"?n=1000", "", owner); strings.Contains(text(t, res), secret) {
		t.Error("the credential is in the list")
	}
	if empty := get[[]adminapi.Key](t, newStack(t).serve(t)+adminapi.PathKeys, owner); empty == nil || len(empty) != 0 {
		t.Errorf("without requests: %v, want an empty list", empty)
	}
	for query, want := range map[string]int{"?policy=none": 404, "?n=0": 400, "?n=-1": 400, "?n=1001": 400, "?n=ten": 400, "?n=99999999999999999999": 400} {
		if res := send(t, "GET", base+adminapi.PathKeys+query, "", owner); res.StatusCode != want {
			t.Errorf("%s: %s, want %d", query, res.Status, want)
		}
	}
}

// A reset fills the bucket of the key that it names, and no other.
func TestReset(t *testing.T) {
	t.Parallel()
	s := newStack(t, func(_ *weir.Config, rules *httpmw.Config) {
		rules.Keys["user"] = httpmw.Join(httpmw.Header("X-Api-Key"), httpmw.Path(), httpmw.ByNetwork(24, 48))
	})
	for range 6 {
		s.ask(from("203.0.113.7"), field("X-Api-Key", "hunter2"))
		s.ask(from("203.0.113.8"))
	}
	base := s.serve(t)
	reset := func(policy, key string) int {
		return send(t, "POST", base+adminapi.PathReset, fmt.Sprintf(`{"policy":%q,"key":%q}`, policy, key), owner).StatusCode
	}
	if got := s.ask(from("203.0.113.7")).Code; got != 429 {
		t.Fatalf("before: %d", got)
	}
	if got := reset("ip", "203.0.113.7"); got != 200 {
		t.Fatalf("reset: %d", got)
	}
	if a, b := s.ask(from("203.0.113.7")).Code, s.ask(from("203.0.113.8")).Code; a != 200 || b != 429 {
		t.Errorf("after: %d, and of another key %d", a, b)
	}
	for _, k := range get[[]adminapi.Key](t, base+adminapi.PathKeys+"?policy=user", owner) {
		if got := reset("user", k.Key); got != 200 {
			t.Errorf("%s: %d", k.Key, got)
		}
	}
	for _, k := range get[[]adminapi.Key](t, base+adminapi.PathKeys+"?policy=user", owner) {
		if k.Remaining != k.Burst {
			t.Errorf("after a reset: %+v", k)
		}
	}
	for _, row := range []struct{ policy, key string }{{"none", "203.0.113.7"}, {"ip", "203.0.113.99"}, {"ip", ""}, {"user", "203.0.113.7"}} {
		if got := reset(row.policy, row.key); got != 404 {
			t.Errorf("%v: %d, want 404", row, got)
		}
	}
	if log := strings.Join(s.log.lines(), "\n"); !strings.Contains(log, "a key was reset by the owner") || strings.Contains(log, "203.0.113.7") {
		t.Errorf("the log:\n%s", log)
	}
}

// What is no reset is refused with what is wrong.
func TestResetMistakes(t *testing.T) {
	t.Parallel()
	base := newStack(t).serve(t)
	for body, want := range map[string]int{
		`{"policy":"ip","key":"203.0.113.7","all":true}`: 400,
		`{"policy":"ip","key":"203.0.113.7"} {}`:         400,
		`{"policy":7}`:                                   400,
		`[]`:                                             400,
		`{`:                                              400,
		`{"policy":"` + strings.Repeat("x", 70_000) + `"}`: 413,
	} {
		if res := send(t, "POST", base+adminapi.PathReset, body, owner); res.StatusCode != want {
			t.Errorf("%.60s: %s, want %d", body, res.Status, want)
		}
	}
	for _, kind := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"} {
		res := send(t, "POST", base+adminapi.PathReset, `{"policy":"ip","key":"203.0.113.7"}`, owner, func(r *http.Request) { r.Header.Set("Content-Type", kind) })
		if res.StatusCode != 415 {
			t.Errorf("%q: %s, want 415", kind, res.Status)
		}
	}
	if res := send(t, "GET", base+adminapi.PathReset, "", owner); res.StatusCode != 404 {
		t.Errorf("GET: %s", res.Status)
	}
}
