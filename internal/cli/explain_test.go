package cli_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir/internal/policy"
)

func TestExplain(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := run("explain", "ip 100/min burst 120", "user 50/day burst 5")
	if code != 0 || stderr != "" {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	for _, want := range []string{
		"ip 100/min burst 120\n  who ", "\n  at once     120, after a pause\n", "220 in any minute", "\n\nuser 50/day burst 5\n  who ",
		"\n\nwarning: ip 100/min burst 120: up to 220 pass in the worst minute: 120 at once, and the 100 that are refilled meanwhile; for never more than 100 write 'ip 100/min strict' (10 at once)\n",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is not in\n%s", want, stdout)
		}
	}
	code, stdout, stderr = run("explain", "--json", "ip 1/min")
	var e struct {
		Limits   []policy.Explanation
		Findings []policy.Finding
	}
	if err := json.Unmarshal([]byte(stdout), &e); err != nil || code != 0 || len(e.Limits) != 1 || e.Limits[0].Quota != 1 || e.Limits[0].RetryAfterS != 60 || e.Findings == nil {
		t.Errorf("exit %d, %v, %s%s: want the limit, and a list of no findings", code, err, stdout, stderr)
	}
}

func TestExplainMistakes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{nil, 2, `no limit: want weir explain 'KEY LIMIT'..., such as 'ip 100/min burst 20'`},
		{[]string{"ip", "100/min"}, 3, `"ip": there is no limit after key "ip": want QUOTA/WINDOW [burst N], such as 100/min (a limit is one argument in quotes, such as 'ip 100/min')`},
		{[]string{"ip 100/min strikt"}, 3, `"ip 100/min strikt": limit "100/min strikt": window "min strikt": want s, min, h, day, week, or a duration such as 500ms or 1h30m`},
		{[]string{"ip 5/min strict burst 5"}, 3, `"ip 5/min strict burst 5": limit "5/min strict burst 5": bucket: burst 5 of a strict limit of 5 is out of range: want 1 to 4, so that something is left to refill, or 0 for a tenth of the quota`},
		{[]string{"ip 1/s", "ip 2/s"}, 3, `"ip 2/s": "ip 1/s" has the same key and window: want one limit for each window of a key`},
		{[]string{"--jsn"}, 2, `unknown flag "--jsn"; did you mean "--json"?`},
	} {
		code, stdout, stderr := run(append([]string{"explain"}, tt.args...)...)
		if code != tt.code || stdout != "" || stderr != "weir: "+tt.want+"\n" {
			t.Errorf("%q: exit %d, %q\n got %swant weir: %s", tt.args, code, stdout, stderr, tt.want)
		}
	}
}
