package bucket_test

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
)

func ExampleNew() {
	b, err := bucket.New(bucket.Limit{Quota: 60, Window: time.Minute, Burst: 2})
	if err != nil {
		panic(err)
	}
	now := time.Now()
	for range 3 {
		d := b.Take(now, 1)
		fmt.Println(d.Allowed, d.Remaining, d.RetryAfter.Round(time.Millisecond))
	}
	// Output:
	// true 1 0s
	// true 0 0s
	// false 0 1s
}

func ExampleParseLimit() {
	l, err := bucket.ParseLimit("1000/day burst 50")
	fmt.Println(l.Quota, l.Window, l.Burst, err)
	_, err = bucket.ParseLimit("1000/fortnight")
	fmt.Println(err)
	// Output:
	// 1000 24h0m0s 50 <nil>
	// limit "1000/fortnight": window "fortnight": want s, min, h, day, week, or a duration such as 500ms or 1h30m
}

func ExampleBucket_Peek() {
	b, _ := bucket.New(bucket.PerMinute(100))
	now := time.Now()
	b.Take(now, 30)
	fmt.Println(b.Peek(now, 71).Allowed, b.Peek(now, 70).Allowed)
	// Output: false true
}

func ExampleBucket_Refund() {
	b, _ := bucket.New(bucket.PerMinute(100))
	now := time.Now()
	b.Take(now, 30)
	b.Refund(now, 10)
	fmt.Println(b.Peek(now, 1).Remaining)
	// Output: 80
}

func ExampleBucket_Charge() {
	b, _ := bucket.New(bucket.PerMinute(60))
	now := time.Now()
	b.Take(now, 1)    // the request is let in for one token
	b.Charge(now, 89) // and turns out to have cost 90
	d := b.Take(now, 1)
	fmt.Println(d.Allowed, d.RetryAfter.Round(time.Second))
	// Output: false 31s
}

func ExampleBucket_Wait() {
	b, _ := bucket.New(bucket.Limit{Quota: 1000, Window: time.Second, Burst: 1})
	for range 3 {
		if err := b.Wait(context.Background(), 1); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println("three, a millisecond apart")
	// Output: three, a millisecond apart
}

func ExampleBucket_SetLimit() {
	b, _ := bucket.New(bucket.PerMinute(100))
	now := time.Now()
	b.Take(now, 30)
	if err := b.SetLimit(now, bucket.PerMinute(50), bucket.KeepUsed); err != nil {
		panic(err)
	}
	fmt.Println(b.Peek(now, 1).Remaining, "of 50: the 30 stay used")
	// Output: 20 of 50: the 30 stay used
}

func ExampleBucket_Restore() {
	b, _ := bucket.New(bucket.PerMinute(60))
	now := time.Now()
	b.Take(now, 60)
	saved := b.State(now)

	restored, _ := bucket.New(bucket.PerMinute(60))
	restored.Restore(saved)
	fmt.Println(restored.Take(now.Add(10*time.Second), 1).Remaining, "of the 10 refilled meanwhile are left")
	// Output: 9 of the 10 refilled meanwhile are left
}

func ExampleLimit_Sustained() {
	for _, text := range []string{"100/min", "100/min strict", "100/min strict burst 40"} {
		l, err := bucket.ParseLimit(text)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(l.Burst, "at once,", l.Sustained(), "in each minute after that")
	}
	// Output:
	// 100 at once, 100 in each minute after that
	// 10 at once, 90 in each minute after that
	// 40 at once, 60 in each minute after that
}
