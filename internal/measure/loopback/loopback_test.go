package loopback

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

var little = Load{Connections: 3, Every: time.Millisecond, Lasting: 20 * time.Millisecond}

// Each server answers all requests that are due.
func TestMeasure(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, during string }{
		{Bare, ""}, {Weir, ""}, {Weir, Snapshots}, {Weir, Flood},
	} {
		l, err := Measure(t.Context(), row.name, row.during, little)
		if err != nil {
			t.Errorf("%s %s: %v", row.name, row.during, err)
			continue
		}
		if l.Count != 60 || l.P50Ns <= 0 || l.MaxNs < l.P99Ns || l.Subject != row.name || l.During != row.during || l.Workload != Workload {
			t.Errorf("%s %s: %+v: want 3 times 20 requests", row.name, row.during, l)
		}
	}
}

func TestMeasureRefuses(t *testing.T) {
	t.Parallel()
	for _, load := range []Load{{0, 1, 1}, {1, 0, 1}, {1, 1, 0}} {
		if _, err := Measure(t.Context(), Bare, "", load); err == nil || !strings.Contains(err.Error(), "want 1 or more") {
			t.Errorf("%+v: error %v", load, err)
		}
	}
	if _, err := Measure(t.Context(), "nginx", "", little); err == nil || !strings.Contains(err.Error(), `want "weir serve" or "no limiter"`) {
		t.Errorf("another server: error %v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := Measure(ctx, Weir, "", Load{1, time.Millisecond, time.Hour}); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: error %v", err)
	}
}

// An answer that is not the expected one ends the run.
func TestRefusalsAreFoundOut(t *testing.T) {
	t.Parallel()
	full := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) }))
	defer full.Close()
	err := client(t.Context(), full.Listener.Addr().String(), 0, time.Now(), little, nil)
	if err == nil || err.Error() != "request 1 of connection 0: status 429: want 200" {
		t.Errorf("error %v: want one about status 429", err)
	}
}

// The requests pass a limit on their way.
func TestWeirIsInTheWay(t *testing.T) {
	t.Parallel()
	address, stop, err := start(Weir, "")
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	c, err := dial(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	answer, err := c.getAnswer("me")
	if err != nil || answer.StatusCode != 200 || answer.Header.Get("RateLimit") == "" {
		t.Errorf("%v, %v: want 200 and what is left of the limit", answer, err)
	}
}
