package proxy

import (
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
)

// problem answers with a problem document (RFC 9457). The detail is a constant:
// nothing in it comes from the request or the upstream.
func problem(w http.ResponseWriter, r *http.Request, status int, detail string) {
	body := fmt.Sprintf(`{"type":"about:blank","title":%q,"status":%d,"detail":%q}`, http.StatusText(status), status, detail)
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		fmt.Fprint(w, body)
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
