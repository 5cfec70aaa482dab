package clients

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

// The parser of npm reads the fields of each form that it knows as they are
// meant: after 3 requests of 100 in 1000 seconds, 97 are back in 970. Of those of
// draft 11 it makes no numbers, whatever is beside them, as the documentation of
// XRateLimit says.
func TestCheck20_parser(t *testing.T) {
	t.Parallel()
	const read, unread = "100 3 97 true", "NaN NaN NaN false"
	for fields, want := range map[httpmw.FieldSet]string{
		httpmw.XRateLimit: read, httpmw.Draft6: read, httpmw.Draft7: read, httpmw.Draft6 | httpmw.XRateLimit: read,
		httpmw.Draft7 | httpmw.XRateLimit: read, httpmw.Draft11: unread, httpmw.Draft11 | httpmw.XRateLimit: unread,
	} {
		t.Run(fields.String(), func(t *testing.T) {
			t.Parallel()
			limiter, err := weir.Open("", weir.Policy{Name: "ip", Limit: bucket.Limit{Quota: 100, Window: 1000 * time.Second}})
			if err != nil {
				t.Fatal(err)
			}
			mw, err := httpmw.New(limiter, httpmw.Config{Keys: map[string]httpmw.Key{"ip": httpmw.ByIP()}, Fields: fields})
			if err != nil {
				t.Fatal(err)
			}
			s := httptest.NewServer(mw.Handler(http.NotFoundHandler()))
			t.Cleanup(s.Close)
			for range 2 {
				res, err := http.Get(s.URL)
				if err != nil {
					t.Fatal(err)
				}
				res.Body.Close()
			}
			got, err := output("node", script(t, "parser.mjs"), s.URL)
			if err != nil {
				t.Fatal(err)
			}
			if got != want {
				t.Errorf("it reads %q, want %q", got, want)
			}
		})
	}
}
