package adminview_test

import (
	"os"

	"github.com/seed-0c889b51/weir/internal/adminapi"
	"github.com/seed-0c889b51/weir/internal/adminview"
)

func ExampleWriteKeys() {
	adminview.WriteKeys(os.Stdout, []adminapi.Key{{Key: "203.0.113.7", Policy: "ip", Burst: 100, RetryAfterMs: 41_000}})
	// Output:
	// KEY          LIMIT  LEFT      WHEN
	// 203.0.113.7  ip     0 of 100  free again in 41 s
}

func ExampleWriteStatus() {
	adminview.WriteStatus(os.Stdout, &adminapi.Status{Version: "v1.2.3", UptimeMs: 61_000, Listen: "http://127.0.0.1:8080",
		Policies: []adminapi.Policy{{Name: "ip", Limit: "100/min", Asked: 4000, Denied: 100, PeakUse: 1}}})
	// Output:
	// weir       v1.2.3, up for 1 min 1 s
	// listening  http://127.0.0.1:8080
	// upstream   built in
	// state      none: limits are forgotten on exit
	// limit      ip 100/min
	//            consulted 4,000, denied 100 (2.5 %), peak use of the burst 100 %: it bites
	//            keys in memory 0, evicted 0
	// health     all is well: no warning since the start
}
