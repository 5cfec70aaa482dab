package httpmw_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

// A refusal is no amplifier. HTTP has no answer that is as short as the
// shortest request, and a client has to take part in a connection to get one;
// but what it gets is bounded, whatever it sends, and can be made small.
func TestRefusalIsSmall(t *testing.T) {
	t.Parallel()
	const smallest = "GET / HTTP/1.1\r\nHost: a\r\n\r\n" // 27 bytes
	empty := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) })
	for _, row := range []struct {
		why  string
		cfg  httpmw.Config
		most int
	}{
		{"all that there is", httpmw.Config{Fields: httpmw.Draft11 | httpmw.XRateLimit, PartitionKey: func(*http.Request, string) []byte { return make([]byte, 64) }}, 800},
		{"the defaults", httpmw.Config{}, 512},
		{"no fields and no body", httpmw.Config{Fields: httpmw.NoFields, Refuse: empty}, 192},
	} {
		l := scripted{names: []string{"default"}, decisions: []bucket.Decision{{Limit: bucket.PerDay(1000), RetryAfter: time.Hour}}}
		srv := httptest.NewServer(limit(t, l, row.cfg))
		conn, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(time.Minute)) // a hang is a failure
		io.WriteString(conn, smallest)
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(conn)
		if err != nil || len(answer) == 0 || len(answer) > row.most {
			t.Errorf("%s: %d bytes, %v, want at most %d:\n%s", row.why, len(answer), err, row.most, answer)
		}
		t.Logf("%s: %d bytes in, %d out", row.why, len(smallest), len(answer))
		conn.Close()
		srv.Close()
	}
}
