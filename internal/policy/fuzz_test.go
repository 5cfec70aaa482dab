package policy_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
	"github.com/seed-0c889b51/weir/internal/policy"
)

// FuzzParse holds that what is read can be printed and read again, that its
// name may stand in a header field, and that an error is one line.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"ip 100/min", "user 1000/day burst 50", "header:X-Api-Key 10/s dry-run", "cookie:a_b 5/500us",
		"ip+path+global 1/1h30m", "ip/48 1/s", "ip/064 1/s", "bearer+basic 1/s", "ip/128+ip 1/48h", "ipp 1/s", "header:\r\n 1/s", "ip 1/366day burst 9999", "+", ":", "İp 1/s",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		policies, err := policy.ParseList(text, text+" burst 1", "ip 1/48h", "ip 2/366day", "ip/48 3/min", "global 7/3ms")
		if err != nil && strings.ContainsAny(err.Error(), "\r\n\x1b\x00") {
			t.Errorf("the error is not one line: %q", err)
		}
		names := map[string]bool{}
		for _, p := range policies {
			if names[p.Name] {
				t.Errorf("two policies are named %q", p.Name)
			}
			names[p.Name] = true
			checkName(t, p)
		}
		p, err := policy.Parse(text)
		if err != nil {
			return
		}
		again, err := policy.Parse(p.String())
		if err != nil || !reflect.DeepEqual(p, again) {
			t.Fatalf("Parse(%q) = %+v, printed %q, read again %+v, %v", text, p, p.String(), again, err)
		}
		if again.String() != p.String() {
			t.Errorf("printed %q, and %q when read again", p.String(), again.String())
		}
		checkName(t, p)
		if got := policy.Worst(p.Limit); strings.ContainsFunc(got, func(r rune) bool { return r > '~' }) {
			t.Errorf("Worst(%s) = %q, want ASCII", p.Limit, got)
		}
	})
}

func checkName(t *testing.T, p policy.Policy) {
	t.Helper()
	_, err := httpmw.New(named(p.Name), httpmw.Config{Keys: map[string]httpmw.Key{p.Name: httpmw.ByIP()}})
	if err != nil {
		t.Errorf("the name of %s cannot be used: %v", p, err)
	}
}

// named is a limiter with one policy.
type named string

func (n named) Names() []string { return []string{string(n)} }

func (n named) DecideEach([]bucket.Decision, []int, ...string) bool { return true }

func (n named) PeekEach([]bucket.Decision, []int, ...string) bool { return true }

func (n named) Settle([]int, ...string) {}
