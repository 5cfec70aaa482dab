package policy_test

import (
	"fmt"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/internal/policy"
)

func ExampleParse() {
	p, err := policy.Parse("header:x-api-key 10/s burst 20")
	fmt.Println(p, err)
	_, err = policy.Parse("usr 1000/day")
	fmt.Println(err)
	// Output:
	// header:X-Api-Key 10/s burst 20 <nil>
	// key "usr": want ip, ip/BITS, user, header:NAME, cookie:NAME, bearer, basic, path, global, or several joined by '+', such as ip+path; did you mean "user"?
}

func ExampleParseList() {
	policies, err := policy.ParseList("ip 100/min", "ip 10/s")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range policies {
		fmt.Println(p.Name, p.Limit)
	}
	// Output:
	// ip 100/min
	// ip/s 10/s
}

func ExampleHeaderName() {
	fmt.Println(policy.HeaderName("x-user"))
	// Output: X-User <nil>
}

func ExampleWorst() {
	fmt.Println(policy.Worst(bucket.PerMinute(100)))
	// Output: at most 100 at once, then one every 600ms; never more than 200 in any minute
}
