package serve_test

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// Floods of HTTP/2 that others let in. Each test is named for the advisory.

// An upstreamOf counts the requests of a user, and how many of these are there
// at once.
type upstreamOf struct {
	user            string
	asked, now, top atomic.Int32
	open            chan bool // when closed requests are answered
}

func (u *upstreamOf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("X-User") != u.user {
		io.WriteString(w, "hello")
		return
	}
	u.asked.Add(1)
	now := u.now.Add(1)
	defer u.now.Add(-1)
	for top := u.top.Load(); now > top && !u.top.CompareAndSwap(top, now); top = u.top.Load() {
	}
	<-u.open
}

// byUser runs a server with a limit by user, TLS and an upstream that counts
// what mallory asks. The client is that of alice.
func byUser(t *testing.T, limit string) (s *running, alice func() int, up *upstreamOf) {
	t.Helper()
	up = &upstreamOf{user: "mallory", open: make(chan bool)}
	cfg := config(t, limit)
	cfg.Trust = loopback() // who says who the user is
	cfg.Routes = to(t, up.ServeHTTP)
	client := withTLS(t, &cfg)
	s = start(t, cfg)
	return s, func() int { return statusFor(t, client, s.url, "alice") }, up
}

// statusFor sends a GET of a user and returns the status.
func statusFor(t *testing.T, client *http.Client, url, user string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-User", user)
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

func TestAdvisory_CVE_2023_44487(t *testing.T) {
	t.Parallel()
	// Rapid reset (CVE-2023-39325 in Go): a stream that its client resets at once
	// counted for nothing, so that one connection asked for any number. Here it is
	// a request as any other: it is charged, and over the limit nothing comes to
	// the upstream, while others are served.
	const quota, streams = 50, 2000
	s, alice, up := byUser(t, "user 50/day")
	close(up.open)
	served := make(chan int)
	go func() { // of a connection of its own, during the flood
		defer close(served)
		for range 40 {
			served <- alice()
		}
	}()
	conn := dialFramed(t, s)
	read := make(chan bool)
	go func() { // who does not read would stop himself
		defer close(read)
		for {
			if f, err := conn.next(); err != nil || f.kind == framePing {
				return
			}
		}
	}()
	for i := range streams {
		conn.open(uint32(2*i+1), true, "x-user", "mallory")
		if i%10 == 9 && conn.send() != nil {
			break // the server has had enough, which is as good
		}
	}
	conn.add(framePing, 0, 0, make([]byte, 8)) // which is answered when it has read all
	conn.send()
	<-read
	for status := range served {
		if status != 200 {
			t.Errorf("during the flood another client gets %d, want 200", status)
		}
	}
	conn.Close()
	if got := up.asked.Load(); got > quota {
		t.Errorf("%d requests came to the upstream, want at most %d", got, quota)
	}
	// There is nothing left for whoever has done it, on a new connection either.
	if got := statusFor(t, insecure(t), s.url, "mallory"); got != 429 {
		t.Errorf("after %d streams that were reset at once the status is %d, want 429: they were not charged", streams, got)
	}
	if text := s.log.String(); strings.Count(text, "\n") > 20 {
		t.Errorf("the flood has filled the log:\n%.2000s", text)
	}
}

func TestAdvisory_CVE_2023_39325(t *testing.T) {
	t.Parallel()
	// The same as a matter of what is at work at once: whatever a connection opens
	// and does not reset, no more than 100 streams of it are, and the others are
	// refused at once, without being charged.
	const most, streams = 100, 150
	s, alice, up := byUser(t, "user 1000/day")
	conn := dialFramed(t, s)
	for i := range streams {
		conn.open(uint32(2*i+1), false, "x-user", "mallory")
	}
	if err := conn.send(); err != nil {
		t.Fatal(err)
	}
	refused, answered := 0, 0
	said := uint32(0) // the bound that the server has told
	failed := t.Failed
	for !failed() && refused < streams-most {
		f, err := conn.next()
		switch {
		case err != nil:
			t.Errorf("%v after %d streams were refused, want %d", err, refused, streams-most)
		case f.kind == frameSettings && f.flags&flagAck == 0:
			for p := f.payload; len(p) >= 6; p = p[6:] {
				if p[0] == 0 && p[1] == 3 { // SETTINGS_MAX_CONCURRENT_STREAMS
					said = uint32(p[2])<<24 | uint32(p[3])<<16 | uint32(p[4])<<8 | uint32(p[5])
				}
			}
		case f.kind == frameReset:
			if f.number() != 7 { // REFUSED_STREAM: as if never sent
				t.Errorf("stream %d is reset with error %d, want 7", f.stream, f.number())
			}
			refused++
		case f.kind == frameGoAway:
			t.Errorf("the server goes away")
		}
	}
	if got := alice(); got != 200 {
		t.Errorf("meanwhile another client gets %d, want 200", got)
	}
	close(up.open)
	for !failed() && answered < most {
		f, err := conn.next()
		if err != nil {
			t.Fatalf("%v after %d answers, want %d", err, answered, most)
		}
		if f.kind == frameHeaders {
			answered++
		}
	}
	if got := up.top.Load(); got > most || said != most {
		t.Errorf("%d requests were at the upstream at once, and the server says %d streams: want at most %d and that", got, said, most)
	}
	if got := up.asked.Load(); got != most {
		t.Errorf("%d requests came to the upstream, want %d", got, most)
	}
}

func TestAdvisory_GO_2024_2687(t *testing.T) {
	t.Parallel()
	// A header that went on in CONTINUATION frames was read for ever, since it was
	// to be told only at its end that it is too big. What may come are 64 KiB, as
	// with HTTP/1; this ends a connection of which a quarter of a MB has come.
	const sent = 256 << 10
	pad := strings.Repeat("a", 4000)
	for why, block := range map[string]func() []byte{
		"big fields": func() (b []byte) {
			for range 4 {
				b = literal(b, "x-pad", pad)
			}
			return b
		},
		"small fields": func() (b []byte) {
			for len(b) < 16_000 {
				b = literal(b, "a", "")
			}
			return b
		},
		// One byte each, but a field each: the name is in the static table.
		"fields of one byte": func() []byte { return []byte(strings.Repeat("\x90", 16_000)) },
		"a field without an end": func() []byte {
			return []byte(strings.Repeat("a", 16_000))
		},
	} {
		t.Run(why, func(t *testing.T) {
			t.Parallel()
			s, alice, up := byUser(t, "user 100/day")
			close(up.open)
			conn := dialFramed(t, s)
			first := request("x-user", "mallory")
			if why == "a field without an end" {
				first = append(first, 0, 1, 'x', 127, 0xff, 0xff, 0xff, 0x7f) // of 256 MB
			}
			conn.add(frameHeaders, flagEndStream, 1, first)
			for size := 0; size < sent; {
				b := block()
				conn.add(frameContinuation, 0, 1, b)
				size += len(b)
			}
			conn.send() // it may be closed before all is sent
			var f frame
			var err error
			for err == nil {
				if f, err = conn.next(); err == nil && f.kind == frameHeaders {
					t.Errorf("a header that has no end was answered")
				}
			}
			if !gone(err) {
				t.Errorf("the connection is open after %d bytes of a header: %v", sent, err)
			}
			if got := up.asked.Load(); got != 0 {
				t.Errorf("%d requests came to the upstream, want none", got)
			}
			if got := alice(); got != 200 {
				t.Errorf("another client gets %d, want 200", got)
			}
		})
	}
}
