package proxy

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// A Config says how a [Proxy] works.
type Config struct {
	// To is the upstream of all requests that none of the Routes is for, from
	// [ParseTarget]. Nil answers them with status 404.
	To *url.URL
	// Routes are further upstreams. Of those that are for a path the longest
	// is taken. A path that servers do not agree about, such as
	// /api/../admin, is answered with status 400 if it would be a matter of
	// taste which one that is.
	Routes []Route
	// TrustsPeer tells whether what the peer that sent a request says of the
	// client may be believed. Nil trusts nobody.
	TrustsPeer func(*http.Request) bool
	// ClientIP finds the address of the client that sent a request, false if it
	// has none. The upstream gets it in X-Real-IP. Nil takes that of the peer.
	ClientIP func(*http.Request) (netip.Addr, bool)
	// ClientHeader is the name of the request header field that ClientIP reads,
	// if it is one that holds one address. "" is none.
	ClientHeader string
	// UserHeader is the canonical name of the request header field in which a
	// trusted peer says who the user is. It passes from such a peer, if it is
	// there once. "" is none.
	UserHeader string
	// Timeout is how long the upstream may take to begin its answer, after it
	// has got the request; 0 waits as long as the client does.
	Timeout time.Duration
	// Logger is told when the upstream cannot be reached, and when it can
	// again. No line holds what came with a request. Nil tells nobody.
	Logger *slog.Logger
}

const (
	// dialTimeout is how long a connection to the upstream may take.
	dialTimeout = 10 * time.Second
	// lingerTimeout is how long a client may take to send the rest of a body
	// that was answered before its end; then its connection is cut.
	lingerTimeout = 5 * time.Second
	// maxDrained is how much of it is read: as much as net/http would.
	maxDrained = 256 << 10
)

// A Proxy is an [http.Handler] that passes requests on. [New] makes one. It is
// safe for concurrent use.
type Proxy struct {
	cfg       Config
	upstreams []*upstream // the longest path first
	reverse   *httputil.ReverseProxy
	// pseudonym is this proxy in Via. It is random, so that another one, or
	// a client, is never taken for this one.
	pseudonym string
	linger    time.Duration // see lingerTimeout
	// clientHeader is the canonical Config.ClientHeader.
	clientHeader string
}

// New returns a Proxy, or an error if there is no upstream, a route is none or
// is there twice, or the timeout is negative.
func New(cfg Config) (*Proxy, error) {
	upstreams, err := newUpstreams(cfg)
	if err != nil {
		return nil, err
	}
	if cfg.Timeout < 0 {
		return nil, fmt.Errorf("proxy: Timeout %v is out of range: want at least 0s", cfg.Timeout)
	}
	if cfg.TrustsPeer == nil {
		cfg.TrustsPeer = func(*http.Request) bool { return false }
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	p := &Proxy{cfg: cfg, upstreams: upstreams, pseudonym: "weir-" + rand.Text(), linger: lingerTimeout,
		clientHeader: http.CanonicalHeaderKey(cfg.ClientHeader)}
	p.reverse = &httputil.ReverseProxy{
		Rewrite:        p.rewrite,
		Transport:      newTransport(cfg.Timeout),
		FlushInterval:  -1, // at once: a stream of events must not wait for a full buffer
		ModifyResponse: p.answered,
		ErrorHandler:   p.failed,
		ErrorLog:       newErrorLog(cfg.Logger),
	}
	return p, nil
}

// newTransport returns the connections to the upstream.
func newTransport(timeout time.Duration) *http.Transport {
	return &http.Transport{
		Proxy:                 nil, // of the environment: the upstream is what was said
		DialContext:           (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   dialTimeout,
		ResponseHeaderTimeout: timeout,
		ExpectContinueTimeout: time.Second,
		DisableCompression:    true, // the client's business
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          1024,
		MaxIdleConnsPerHost:   1024,
		IdleConnTimeout:       90 * time.Second,
	}
}

// ServeHTTP passes a request on. One that is not answered by an upstream is
// answered with a problem document: with status 400 if it is malformed or its
// path leads out of that of the upstream, 404 if no route is for it, 408 if
// reading its body fails with [os.ErrDeadlineExceeded], 501 for CONNECT, 502 or
// 504 if the upstream fails, 505 for HTTP/2 where it is not spoken, and 508 if it
// has been here before. Its member reason is for programs.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p.looped(r) {
		looped.answer(w, r)
		return
	}
	if t := check(r); t != nil {
		t.answer(w, r)
		return
	}
	to, t := p.route(r)
	if t != nil {
		t.answer(w, r)
		return
	}
	if r.ContentLength != 0 {
		// Else an HTTP/1 server reads the body to its end before it writes,
		// and an upstream that answers a stream as it comes would never be
		// heard. Where this is not supported it is not needed (HTTP/2).
		_ = http.NewResponseController(w).EnableFullDuplex()
	}
	if !r.ProtoAtLeast(1, 1) {
		w = finalOnly{w}
	}
	x := &exchange{
		to:     to,
		header: w.Header(),
		ours:   takeFields(w.Header()),
		http1:  r.ProtoMajor == 1,
		coded:  len(r.TransferEncoding) > 0 || !r.ProtoAtLeast(1, 1),
	}
	x.bodyEnd.Store(r.ContentLength == 0)
	ctx := httptrace.WithClientTrace(context.WithValue(r.Context(), exchangeKey{}, x),
		&httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { x.connected.Store(true) }})
	p.reverse.ServeHTTP(w, r.WithContext(ctx))
	if x.http1 && !x.bodyEnd.Load() && x.bodyFail.Load() == nil {
		p.drain(w, r)
	}
}

// drain reads the rest of a body that was answered before its end, so that a
// client that sends it gets to read the answer, and one that does not is not
// waited for. It is for HTTP/1, and the connection is of no use after it.
func (p *Proxy) drain(w http.ResponseWriter, r *http.Request) {
	c := http.NewResponseController(w)
	if c.Flush() == nil && c.SetReadDeadline(time.Now().Add(p.linger)) == nil {
		_, _ = io.CopyN(io.Discard, r.Body, maxDrained)
	}
}

// CloseIdle closes connections to the upstreams that nobody uses.
func (p *Proxy) CloseIdle() { p.reverse.Transport.(*http.Transport).CloseIdleConnections() }

// looped tells whether r has passed through p before.
func (p *Proxy) looped(r *http.Request) bool {
	for _, line := range r.Header["Via"] {
		if strings.Contains(line, p.pseudonym) {
			return true
		}
	}
	return false
}

// An exchange is what is known of a request while the upstream has it.
type exchange struct {
	to        *upstream
	header    http.Header // of the answer
	ours      http.Header // what was in it before: the limiter's fields
	http1     bool
	coded     bool                    // the request has a Transfer-Encoding, or may have had one
	connected atomic.Bool             // to the upstream
	bodyEnd   atomic.Bool             // the client's body was read to its end
	bodyFail  atomic.Pointer[trouble] // why the client's body broke off; nil: it has not
}

type exchangeKey struct{}

func exchangeOf(r *http.Request) *exchange {
	return r.Context().Value(exchangeKey{}).(*exchange)
}

// end ends the connection of the client with the answer if need be.
//
// A request with a Transfer-Encoding may have had a Content-Length too; net/http
// then removes it and does not say so. What follows is another request here, and
// could still be this one to a proxy in front: RFC 9112, 6.1, wants the
// connection closed. In HTTP/1.0 it removes a Transfer-Encoding without a word:
// likewise. Whoever runs a Proxy sees to it for other answers.
//
// If the answer comes before the end of the body, the rest of it may be read
// while net/http reads the next request from the same connection.
func (x *exchange) end(h http.Header) {
	if x.http1 && (x.coded || !x.bodyEnd.Load()) {
		h.Set("Connection", "close")
	}
}

// answered is called with the header of the upstream's answer.
func (p *Proxy) answered(res *http.Response) error {
	x := exchangeOf(res.Request)
	p.back(x.to)
	addFields(res.Header, x.ours)
	if res.StatusCode != http.StatusSwitchingProtocols {
		x.end(res.Header)
	} else {
		x.bodyEnd.Store(true) // what follows is no HTTP
	}
	if _, ok := res.Header["Content-Type"]; !ok {
		x.header["Content-Type"] = nil // else net/http guesses one
	}
	return nil
}

// finalOnly is the ResponseWriter of a client that does not know of interim
// answers: one of HTTP/1.0 would take a 103 for the final one.
type finalOnly struct{ http.ResponseWriter }

func (w finalOnly) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		w.ResponseWriter.WriteHeader(status)
	}
}

// Unwrap is for http.ResponseController.
func (w finalOnly) Unwrap() http.ResponseWriter { return w.ResponseWriter }
