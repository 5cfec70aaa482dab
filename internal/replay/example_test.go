package replay_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/seed-0c889b51/weir/internal/policy"
	"github.com/seed-0c889b51/weir/internal/replay"
)

func ExampleRun() {
	limits, err := policy.ParseList("ip 2/min")
	if err != nil {
		fmt.Println(err)
		return
	}
	log := strings.Repeat(`192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 12`+"\n", 5)
	result, err := replay.Run(context.Background(), replay.Config{Limits: limits}, replay.Source{Name: "access.log", Reader: strings.NewReader(log)})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(result.Present.Denied, "of", result.Lines.Requests, "requests would be denied")
	fmt.Println("what fits:", result.Present.Limits[0].Fits[3].Flag)
	// Output:
	// 3 of 5 requests would be denied
	// what fits: --limit 'ip 5/min'
}

func ExampleCheckKey() {
	key := policy.Key{{Kind: policy.Header, Name: "X-Api-Key"}}
	fmt.Println(replay.CheckKey(key))
	// Output: key "header:X-Api-Key" is not in an access log: want ip, ip/BITS, user, basic, path, global, or several joined by '+'
}
