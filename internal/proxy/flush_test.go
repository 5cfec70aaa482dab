package proxy_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0c889b51/weir/internal/proxy"
)

// dial connects to what accepts from p.
func (p pipes) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	p <- server
	return client, nil
}

// What an upstream flushes is with the client at once: without anything that
// waits for more, for that would take time, which does not pass here by itself. An
// hour passes between two parts.
func TestPartsOfAnswersWaitForNothing(t *testing.T) {
	t.Parallel()
	const part = "data: 1\n\n"
	for _, tt := range []struct {
		why    string
		fields []string
	}{
		{"a stream of events", []string{"Content-Type", "text/event-stream"}},
		{"with parameters", []string{"Content-Type", "text/event-stream; charset=utf-8"}},
		{"of a known length", []string{"Content-Type", "text/event-stream", "Content-Length", fmt.Sprint(3 * len(part))}},
		{"lines of text", []string{"Content-Type", "text/plain"}},
		// This one httputil.ReverseProxy holds back, if it is not told otherwise.
		{"lines of text, of a known length", []string{"Content-Type", "text/plain", "Content-Length", fmt.Sprint(3 * len(part))}},
		{"nobody knows what, of a known length", []string{"Content-Type", "", "Content-Length", fmt.Sprint(3 * len(part))}},
	} {
		t.Run(tt.why, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				flushed := make(chan time.Time, 3)
				up, front := make(pipes), make(pipes)
				upstream := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					for i := 0; i < len(tt.fields); i += 2 {
						w.Header().Set(tt.fields[i], tt.fields[i+1])
					}
					for range 3 {
						time.Sleep(time.Hour)
						io.WriteString(w, part)
						http.NewResponseController(w).Flush()
						flushed <- time.Now()
					}
				})}
				to, err := proxy.ParseTarget("http://upstream.example")
				if err != nil {
					t.Fatal(err)
				}
				p, err := proxy.New(proxy.Config{To: to})
				if err != nil {
					t.Fatal(err)
				}
				proxy.Dial(p, up.dial)
				server := &http.Server{Handler: p}
				go upstream.Serve(up)
				go server.Serve(front)
				client := &http.Transport{DialContext: front.dial}
				req, err := http.NewRequest("GET", "http://weir.example/", nil)
				if err != nil {
					t.Fatal(err)
				}
				res, err := client.RoundTrip(req)
				if err != nil {
					t.Fatal(err)
				}
				for i := range 3 {
					if _, err := io.ReadFull(res.Body, make([]byte, len(part))); err != nil {
						t.Fatal(err)
					}
					if late := time.Since(<-flushed); late != 0 {
						t.Errorf("part %d came %v after the upstream had flushed it", i, late)
					}
				}
				res.Body.Close()
				client.CloseIdleConnections()
				p.CloseIdle()
				close(up) // Accept ends
				close(front)
				server.Close()
				upstream.Close()
			})
		})
	}
}

// An upstream that takes a connection and never shakes hands is given up, though
// it has all the time of the world to answer.
func TestUpstreamsThatNeverShakeHands(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		to, err := proxy.ParseTarget("https://upstream.example")
		if err != nil {
			t.Fatal(err)
		}
		p, err := proxy.New(proxy.Config{To: to})
		if err != nil {
			t.Fatal(err)
		}
		var silent net.Conn
		proxy.Dial(p, func(context.Context, string, string) (net.Conn, error) {
			client, server := net.Pipe()
			silent = server
			go io.Copy(io.Discard, server)
			return client, nil
		})
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		w := httptest.NewRecorder()
		p.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "/", nil))
		if took := time.Since(began); w.Code != http.StatusGatewayTimeout || took != proxy.DialTimeout {
			t.Errorf("the answer is %d after %v, want 504 after %v", w.Code, took, proxy.DialTimeout)
		}
		silent.Close()
	})
}
