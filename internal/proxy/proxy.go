package proxy

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// A Config says how a [Proxy] works.
type Config struct {
	// To is the upstream, from [ParseTarget].
	To *url.URL
	// TrustsPeer tells whether what the peer that sent a request says of the
	// client may be believed. Nil trusts nobody.
	TrustsPeer func(*http.Request) bool
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

// dialTimeout is how long a connection to the upstream may take.
const dialTimeout = 10 * time.Second

// A Proxy is an [http.Handler] that passes requests on. [New] makes one. It is
// safe for concurrent use.
type Proxy struct {
	cfg     Config
	reverse *httputil.ReverseProxy
	// pseudonym is this proxy in Via. It is random, so that another one, or
	// a client, is never taken for this one.
	pseudonym string
	down      atomic.Bool // the last request did not reach the upstream
}

// New returns a Proxy, or an error if there is no upstream or the timeout is
// negative.
func New(cfg Config) (*Proxy, error) {
	if cfg.To == nil {
		return nil, errors.New("proxy: To is nil: want the URL of the upstream")
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
	p := &Proxy{cfg: cfg, pseudonym: "weir-" + rand.Text()}
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

// ServeHTTP passes a request on. One that has been here before is answered
// with status 508, one whose path leads out of that of the upstream's URL with
// 400, one that the upstream does not answer with 502 or 504.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p.looped(r) {
		problem(w, r, http.StatusLoopDetected, "The request has come back to where it was passed on: the upstream leads here.")
		return
	}
	if p.below() && leaves(r.URL.Path) {
		problem(w, r, http.StatusBadRequest, "The path of the request leads out of what is served here.")
		return
	}
	if r.ContentLength != 0 {
		// Else an HTTP/1 server reads the body to its end before it writes,
		// and an upstream that answers a stream as it comes would never be
		// heard. Where this is not supported it is not needed (HTTP/2).
		_ = http.NewResponseController(w).EnableFullDuplex()
	}
	x := &exchange{ours: takeFields(w.Header())}
	p.reverse.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x)))
}

// CloseIdle closes connections to the upstream that nobody uses.
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
	ours     http.Header // the limiter's fields for the answer
	bodyFail atomic.Bool // the client's body broke off
}

type exchangeKey struct{}

func exchangeOf(r *http.Request) *exchange {
	return r.Context().Value(exchangeKey{}).(*exchange)
}

// answered is called with the header of the upstream's answer.
func (p *Proxy) answered(res *http.Response) error {
	p.note(nil)
	addFields(res.Header, exchangeOf(res.Request).ours)
	return nil
}

// failed is called when there is no answer of the upstream.
func (p *Proxy) failed(w http.ResponseWriter, r *http.Request, err error) {
	x := exchangeOf(r)
	addFields(w.Header(), x.ours)
	switch {
	case x.bodyFail.Load():
		problem(w, r, http.StatusBadRequest, "The body of the request could not be read to its end.")
	case r.Context().Err() != nil:
		problem(w, r, http.StatusBadGateway, "The request was cancelled.") // nobody is there to read it
	case timedOut(err):
		p.note(err)
		problem(w, r, http.StatusGatewayTimeout, "The upstream did not answer in time.")
	default:
		p.note(err)
		problem(w, r, http.StatusBadGateway, "The upstream could not be reached, or its answer could not be understood.")
	}
}

func timedOut(err error) bool {
	var netErr net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &netErr) && netErr.Timeout()
}

// note logs when the upstream begins or ceases to answer, not each time that
// it does not.
func (p *Proxy) note(err error) {
	if err == nil {
		if p.down.Load() && p.down.CompareAndSwap(true, false) {
			p.cfg.Logger.Info("the upstream answers again")
		}
		return
	}
	if !p.down.CompareAndSwap(false, true) {
		return
	}
	// Only an error of the network is sure not to quote the request or the
	// answer.
	reason := "the answer is not HTTP, or was cut short"
	var opErr *net.OpError
	switch {
	case timedOut(err):
		reason = "it took too long"
	case errors.As(err, &opErr):
		reason = opErr.Op + ": " + opErr.Err.Error()
	}
	p.cfg.Logger.Error("the upstream does not answer", "upstream", p.cfg.To.Redacted(), "reason", reason)
}
