package cli_test

import (
	"context"
	"fmt"
	"os"

	"github.com/seed-0c889b51/weir/internal/cli"
)

func ExampleRun() {
	code := cli.Run(context.Background(), cli.World{
		Args:   []string{"serve", "--limit", "ipp 100/min"},
		Stdout: os.Stdout,
		Stderr: os.Stdout,
		Force:  context.Background(),
	})
	fmt.Println(code)
	// Output:
	// weir: --limit "ipp 100/min": key "ipp": want ip, ip/BITS, user, header:NAME, cookie:NAME, bearer, basic, path, global, or several joined by '+', such as ip+path; did you mean "ip"?
	// 3
}
