package registry_test

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/registry"
)

func ExampleNew() {
	r, err := registry.New(registry.Config[netip.Addr]{Limit: bucket.PerMinute(2)})
	if err != nil {
		panic(err)
	}
	alice, bob := netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("203.0.113.8")
	fmt.Println(r.Allow(alice), r.Allow(alice), r.Allow(alice), r.Allow(bob))
	// Output: true true false true
}

func ExampleRegistry_Take() {
	r, _ := registry.New(registry.Config[string]{Limit: bucket.PerDay(1000)})
	d := r.Take("alice", 300)
	fmt.Println(d.Allowed, d.Remaining)
	d = r.Take("alice", 701)
	fmt.Println(d.Allowed, d.Remaining, d.RetryAfter.Round(time.Second))
	// Output:
	// true 700
	// false 700 1m26s
}

func ExampleRegistry_Wait() {
	r, _ := registry.New(registry.Config[string]{Limit: bucket.PerSecond(1)})
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	fmt.Println(r.Wait(ctx, "alice", 1) == nil, r.Wait(ctx, "alice", 1) == nil)
	// Output: true false
}

func ExampleRegistry_SetLimit() {
	r, _ := registry.New(registry.Config[string]{Limit: bucket.PerDay(1000)})
	r.Take("alice", 300)
	if err := r.SetLimit(bucket.PerDay(2000)); err != nil {
		panic(err)
	}
	fmt.Println(r.Peek("alice", 1).Remaining)
	// Output: 1700
}

func ExampleGroup_Decide() {
	ip, _ := registry.New(registry.Config[string]{Limit: bucket.PerMinute(100)})
	user, _ := registry.New(registry.Config[string]{Limit: bucket.PerDay(2)})
	both, err := registry.NewGroup(ip, user)
	if err != nil {
		panic(err)
	}
	into := make([]bucket.Decision, 2)
	for range 3 {
		fmt.Println(both.Decide(into, 1, "203.0.113.7", "alice"), into[0].Remaining, into[1].Remaining)
	}
	// Output:
	// true 99 1
	// true 98 0
	// false 98 0
}

func ExampleGroup_DecideEach() {
	requests, _ := registry.New(registry.Config[string]{Limit: bucket.PerMinute(100)})
	bytes, _ := registry.New(registry.Config[string]{Limit: bucket.PerHour(1_000_000)})
	both, err := registry.NewGroup(requests, bytes)
	if err != nil {
		panic(err)
	}
	into := make([]bucket.Decision, 2)
	fmt.Println(both.DecideEach(into, []int{1, 4096}, "alice", "alice"), into[0].Remaining, into[1].Remaining)
	// A request that has no bytes:
	fmt.Println(both.DecideEach(into, []int{1, -1}, "alice", "alice"), into[0].Remaining)
	// Output:
	// true 99 995904
	// true 98
}

func ExampleGroup_Settle() {
	requests, _ := registry.New(registry.Config[string]{Limit: bucket.PerDay(100)})
	seconds, _ := registry.New(registry.Config[string]{Limit: bucket.PerDay(3600)})
	both, err := registry.NewGroup(requests, seconds)
	if err != nil {
		panic(err)
	}
	into := make([]bucket.Decision, 2)
	both.DecideEach(into, []int{1, 60}, "alice", "alice") // a minute at most, it was thought
	both.Settle([]int{0, 240}, "alice", "alice")          // and four more it took
	both.DecideEach(into, []int{0, 0}, "alice", "alice")
	fmt.Println(into[0].Remaining, into[1].Remaining)
	// Output: 99 3300
}

func ExampleRegistry_Charge() {
	r, _ := registry.New(registry.Config[string]{Limit: bucket.PerMinute(60)})
	r.Charge("alice", 90) // spent already, and more than there is
	d := r.Take("alice", 1)
	fmt.Println(d.Allowed, d.RetryAfter.Round(time.Second))
	// Output: false 31s
}

func ExampleRegistry_Changed() {
	hash := func(key string) uint64 { return uint64(len(key)) } // a keyed hash in earnest
	r, _ := registry.New(registry.Config[string]{Limit: bucket.PerHour(60), Hash: hash})
	r.Take("alice", 30)
	limit, changed := r.Changed(time.Now(), 0)
	for hash, debt := range changed {
		fmt.Println(hash, debt.Round(time.Minute), "under", limit)
	}
	// Output: 5 30m0s under 60/h
}
