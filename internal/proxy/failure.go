package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"syscall"
)

// What is wrong with an upstream.
var (
	dnsFailed     = trouble{http.StatusBadGateway, "dns_error", "The name of the upstream could not be resolved."}
	dnsSlow       = trouble{http.StatusGatewayTimeout, "dns_timeout", "The name of the upstream was not resolved in time."}
	refused       = trouble{http.StatusBadGateway, "connection_refused", "The upstream refused the connection."}
	unreachable   = trouble{http.StatusBadGateway, "destination_ip_unroutable", "The upstream could not be reached."}
	connectSlow   = trouble{http.StatusGatewayTimeout, "connection_timeout", "The connection to the upstream was not made in time."}
	badCert       = trouble{http.StatusBadGateway, "tls_certificate_error", "The certificate of the upstream is not valid."}
	tlsFailed     = trouble{http.StatusBadGateway, "tls_protocol_error", "A secure connection to the upstream could not be made."}
	brokenOff     = trouble{http.StatusBadGateway, "connection_terminated", "The upstream closed the connection before it answered."}
	answerSlow    = trouble{http.StatusGatewayTimeout, "http_response_timeout", "The upstream did not answer in time."}
	notUnderstood = trouble{http.StatusBadGateway, "http_protocol_error", "The answer of the upstream could not be understood."}
)

// troubleOf tells failures to get an answer apart. Connected tells whether
// there was a connection, with TLS if that was wanted.
func troubleOf(err error, connected, secure bool) *trouble {
	var (
		dns  *net.DNSError
		op   *net.OpError
		cert *tls.CertificateVerificationError
	)
	switch {
	case errors.As(err, &dns) && dns.IsTimeout:
		return &dnsSlow
	case errors.As(err, &dns):
		return &dnsFailed
	case timedOut(err) && !connected:
		return &connectSlow
	case timedOut(err):
		return &answerSlow
	case errors.Is(err, syscall.ECONNREFUSED):
		return &refused
	case errors.As(err, &cert):
		return &badCert
	case !connected && errors.As(err, &op) && op.Op == "dial":
		return &unreachable
	case !connected && secure:
		return &tlsFailed
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.As(err, &op) && (op.Op == "read" || op.Op == "write"),
		err.Error() == "http: server closed idle connection": // has no name
		return &brokenOff
	}
	return &notUnderstood
}

func timedOut(err error) bool {
	var netErr net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &netErr) && netErr.Timeout()
}

// failed is called when there is no answer of the upstream.
func (p *Proxy) failed(w http.ResponseWriter, r *http.Request, err error) {
	x := exchangeOf(r)
	addFields(w.Header(), x.ours)
	x.end(w.Header())
	switch failed := x.bodyFail.Load(); {
	case failed != nil:
		failed.answer(w, r)
	case r.Context().Err() != nil:
		cancelled.answer(w, r)
	default:
		t := troubleOf(err, x.connected.Load(), x.to.To.Scheme == "https")
		p.lost(x.to, t, err)
		t.answer(w, r)
	}
}

// lost logs when an upstream ceases to answer, not each time that it does not.
func (p *Proxy) lost(u *upstream, t *trouble, err error) {
	if !u.down.CompareAndSwap(false, true) {
		return
	}
	reason := t.detail
	// Only an error of the network is sure not to quote the request or the
	// answer.
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		reason = op.Op + ": " + op.Err.Error()
	}
	p.cfg.Logger.Error("the upstream does not answer", "upstream", u.To.Redacted(), "error", t.reason, "reason", reason)
}

// back logs when an upstream answers again.
func (p *Proxy) back(u *upstream) {
	if u.down.Load() && u.down.CompareAndSwap(true, false) {
		p.cfg.Logger.Info("the upstream answers again", "upstream", u.To.Redacted())
	}
}

// newErrorLog returns where httputil.ReverseProxy logs what it cannot tell the
// client any more. Its lines hold addresses, so none is passed on.
func newErrorLog(to *slog.Logger) *log.Logger { return log.New(errorLog{to}, "", 0) }

type errorLog struct{ to *slog.Logger }

func (l errorLog) Write(line []byte) (int, error) {
	text := string(line)
	if strings.Contains(text, "read error during body copy") && !strings.Contains(text, "context canceled") {
		l.to.Warn("the upstream broke off an answer")
	} else {
		l.to.Debug("an answer or an upgrade ended early")
	}
	return len(line), nil
}
