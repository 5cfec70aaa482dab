package proxy

import (
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
)

const (
	forwardedFor    = "X-Forwarded-For"
	forwardedHost   = "X-Forwarded-Host"
	forwardedProto  = "X-Forwarded-Proto"
	forwardedPrefix = "X-Forwarded-Prefix"
)

// rewrite makes the request to the upstream.
//
// It reads what it passes on from pr.In: by then pr.Out lacks what the client
// has listed in Connection.
func (p *Proxy) rewrite(pr *httputil.ProxyRequest) {
	in, out := pr.In, pr.Out
	to := exchangeOf(in).to
	if to.Strip {
		to.strip(out.URL)
	}
	pr.SetURL(to.To)
	out.URL.RawQuery = in.URL.RawQuery                         // as sent: nothing here is decided by it
	if in.Method == http.MethodOptions && in.URL.Path == "*" { // about the server as a whole
		out.URL.Path, out.URL.RawPath = "*", ""
		if to.confined() {
			out.URL.Path, out.URL.RawPath = to.To.Path, to.To.RawPath
		}
	}
	if out.URL.Scheme == "http" {
		out.Host = in.Host
	}

	for name := range out.Header {
		if p.ofPeer(name) || strings.Contains(name, "_") {
			delete(out.Header, name)
		}
	}
	h := out.Header
	client := p.clientOf(in)
	if p.cfg.TrustsPeer(in) {
		p.passOn(h, in.Header, client)
	}
	if client != "" && p.cfg.UserHeader != realIP {
		h[realIP] = []string{client}
	}
	if to.Strip {
		h[forwardedPrefix] = []string{strings.TrimSuffix(strings.Join(h[forwardedPrefix], ","), "/") + (&url.URL{Path: "/" + strings.Join(to.segments, "/")}).EscapedPath()}
	}
	if carriesHTTP(in.Header["Upgrade"]) {
		delete(h, "Upgrade")
		delete(h, "Connection")
		delete(h, "Http2-Settings")
	}
	if peer := peerOf(in); peer != "" {
		h[forwardedFor] = []string{strings.Join(append(h[forwardedFor], peer), ", ")}
	}
	if len(h[forwardedHost]) == 0 {
		h[forwardedHost] = []string{in.Host}
	}
	if len(h[forwardedProto]) == 0 {
		proto := "http"
		if in.TLS != nil {
			proto = "https"
		}
		h[forwardedProto] = []string{proto}
	}
	via := "1." + string('0'+rune(in.ProtoMinor)) + " "
	if in.ProtoMajor != 1 {
		via = "2.0 "
	}
	h["Via"] = []string{strings.Join(append(in.Header["Via"][:len(in.Header["Via"]):len(in.Header["Via"])], via+p.pseudonym), ", ")}

	if out.Body != nil {
		out.Body = p.watchBody(in, out)
	}
}

// watchBody returns the body of out, which is that of in, made such that its
// trailers reach the upstream and that a failure to read it is known from one
// of the upstream.
func (p *Proxy) watchBody(in, out *http.Request) io.ReadCloser {
	b := &body{ReadCloser: out.Body, in: in, exchange: exchangeOf(in)}
	if len(in.Trailer) == 0 {
		out.Trailer = nil
		return b
	}
	// Only the names are known yet, and the transport wants them before.
	b.trailer = http.Header{}
	for name := range in.Trailer {
		if !p.ofPeer(name) && !strings.Contains(name, "_") {
			b.trailer[name] = nil
		}
	}
	out.Trailer = b.trailer
	return b
}

// A body is that of a client's request.
type body struct {
	io.ReadCloser
	in       *http.Request
	exchange *exchange
	trailer  http.Header // of the request to the upstream
}

// Read reads the body and, at its end, its trailers.
func (b *body) Read(to []byte) (int, error) {
	n, err := b.ReadCloser.Read(to)
	switch err {
	case nil:
	case io.EOF:
		b.exchange.bodyEnd.Store(true)
		for name := range b.trailer {
			b.trailer[name] = b.in.Trailer[name]
		}
	default:
		failed := &badBody
		if errors.Is(err, os.ErrDeadlineExceeded) {
			failed = &slowBody
		}
		b.exchange.bodyFail.Store(failed)
	}
	return n, err
}
