package doctor_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"time"

	"github.com/seed-0c889b51/weir/internal/doctor"
)

func ExampleRun() {
	api := httptest.NewServer(http.NotFoundHandler()) // which has no limit
	defer api.Close()
	target, err := url.Parse(api.URL)
	if err != nil {
		panic(err)
	}

	report, err := doctor.Run(context.Background(), doctor.Config{
		URL: target, Addr: netip.MustParseAddrPort(api.Listener.Addr().String()), Timeout: time.Minute,
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(report.Checks[0].Name, report.Checks[0].Outcome+":", report.Checks[0].Reason)
	// Output: limit fail: 1000 requests in a row pass, and no answer tells of a limit
}
