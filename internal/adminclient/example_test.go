package adminclient_test

import (
	"context"
	"fmt"
	"net/http/httptest"

	"github.com/seed-0c889b51/weir/internal/adminclient"
)

func ExampleNew() {
	server := httptest.NewServer(fake().Handler()) // in place of weir serve
	defer server.Close()
	client, err := adminclient.New(server.URL, token)
	if err != nil {
		fmt.Println(err)
		return
	}
	keys, err := client.Keys(context.Background(), "ip", 10)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, k := range keys {
		fmt.Println(k.Key, k.Remaining, "of", k.Burst)
	}
	// Output: 203.0.113.7 1 of 5
}
