package policy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/internal/policy"
)

// Policies with names keep these, and do not count for how others are called.
func TestSetNames(t *testing.T) {
	t.Parallel()
	ip := policy.Key{{Kind: policy.IP}}
	list := []policy.Policy{
		{Key: ip, Limit: bucket.PerMinute(1)}, {Name: "mine", Key: ip, Limit: bucket.PerDay(1)}, {Key: ip, Limit: bucket.PerHour(1)},
	}
	if _, err := policy.SetNames(list); err != nil || list[0].Name != "ip/min" || list[1].Name != "mine" || list[2].Name != "ip" {
		t.Errorf("%v: %q, %q, %q", err, list[0].Name, list[1].Name, list[2].Name)
	}
	again := []policy.Policy{{Key: ip, Limit: bucket.PerMinute(1)}, {Key: ip, Limit: bucket.Limit{Quota: 2, Window: time.Minute, Burst: 2}}}
	if at, err := policy.SetNames(again); at != 1 || err == nil || err.Error() != `"ip 1/min" has the same key and window: want one limit for each window of a key` || again[0].Name != "" {
		t.Errorf("%d, %v, %q", at, err, again[0].Name)
	}
	long := policy.Key{{Kind: policy.Header, Name: strings.Repeat("a", 57)}}
	if at, err := policy.SetNames([]policy.Policy{{Key: long, Limit: bucket.PerMinute(1)}, {Key: long, Limit: bucket.PerDay(1)}}); at != 0 || err == nil {
		t.Errorf("%d, %v", at, err)
	}
}

func TestParseKey(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"ip+header:x-a": "ip+header:X-A", "IP": "ip", "": "it is empty", "ip ": "want ip, ip/BITS", "5/s": "stands where the key should",
		"header:" + strings.Repeat("a", 58): "has 65 characters: want at most 64",
	} {
		key, err := policy.ParseKey(text)
		if got := key.String(); got != want && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %q, %v, want %s", text, got, err, want)
		}
	}
	if _, err := policy.NewInFlight(policy.Key{{Kind: policy.Header, Name: strings.Repeat("A", 50)}}, 1); err == nil {
		t.Error("a name of 67 characters is one")
	}
}

func TestLimitsOfTiers(t *testing.T) {
	t.Parallel()
	if got := (policy.Terms{}).Limits(); got != nil {
		t.Errorf("no tiers have %v", got)
	}
	terms := policy.Terms{Tiers: []policy.Tier{{Limit: bucket.PerDay(1), Keys: []string{"a", "b"}}, {Limit: bucket.PerDay(2), Keys: []string{"c"}}}}
	if got := terms.Limits(); len(got) != 3 || got["b"] != bucket.PerDay(1) || got["c"] != bucket.PerDay(2) {
		t.Errorf("%v", got)
	}
}

func ExampleSetNames() {
	list := []policy.Policy{
		{Key: policy.Key{{Kind: policy.IP}}, Limit: bucket.PerSecond(5)},
		{Key: policy.Key{{Kind: policy.IP}}, Limit: bucket.PerDay(1000)},
	}
	if _, err := policy.SetNames(list); err != nil {
		panic(err)
	}
	fmt.Println(list[0].Name, list[1].Name)
	// Output: ip/s ip
}
