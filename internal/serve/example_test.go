package serve_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"

	"github.com/seed-0c889b51/weir/internal/policy"
	"github.com/seed-0c889b51/weir/internal/serve"
)

func ExampleNew() {
	policies, err := policy.ParseList("ip 1/day")
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := serve.New(serve.Config{
		Listen:     "127.0.0.1:0",
		Policies:   policies,
		UserHeader: "X-User",
		IPv6Prefix: 64,
		Logger:     slog.New(slog.DiscardHandler),
		Banner:     io.Discard,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx, context.Background()) }()
	for range 2 {
		res, err := http.Get("http://" + s.Addr().String())
		if err != nil {
			fmt.Println(err)
			break
		}
		res.Body.Close()
		fmt.Println(res.Status)
	}
	stop()
	fmt.Println(<-done)
	// Output:
	// 200 OK
	// 429 Too Many Requests
	// <nil>
}
