package httpmw

import (
	"html"
	"net/http"
	"strconv"

	"github.com/seed-0c889b51/weir/bucket"
)

// A problem is what can be said of a request that does not pass, whoever it is
// from. It is a problem document of RFC 9457 or, for those who prefer it, a few
// words.
type problem struct {
	status int
	typ    string // URI, "" for none
	title  string
	detail string // of an answer that does not tell a wait
}

// Problem types of draft-ietf-httpapi-ratelimit-headers-11, section 5.
const problemTypes = "https://iana.org/assignments/http-problem-types#"

var (
	quotaExceeded = problem{
		status: http.StatusTooManyRequests,
		typ:    problemTypes + "quota-exceeded",
		title:  "Quota Exceeded",
		detail: "This request asks for more than the quota ever has. It will not be served later either.",
	}
	reducedCapacity = problem{
		status: http.StatusServiceUnavailable,
		typ:    problemTypes + "temporary-reduced-capacity",
		title:  "Temporary Reduced Capacity",
		detail: "The server cannot count this request against its quota.",
	}
)

// answer answers a request that was not counted, and that has no wait to tell.
func (p *problem) answer(w http.ResponseWriter, r *http.Request) {
	form := formOf(r)
	body := p.end(p.begin(nil, form), form)
	h := w.Header()
	h.Set(fieldCacheControl, "no-store")
	h.Set(fieldNosniff, "nosniff")
	h.Set(fieldContentType, form.contentType())
	h.Del(fieldRetryAfter)
	setLength(h, []string{strconv.Itoa(len(body))})
	w.WriteHeader(p.status)
	if r.Method != http.MethodHead {
		w.Write(body)
	}
}

// unavailable answers a request that could not be counted.
func unavailable(w http.ResponseWriter, r *http.Request) { reducedCapacity.answer(w, r) }

// maxBody bounds the body of a refusal: one must not be worth asking for.
const (
	maxBody = 512
	maxEnd  = len("</p></html>\n") // of what problem.end appends
)

// appendRefusal appends the body of a refusal that names the policies that
// refuse, as many of them as there is room for: in a problem document at least
// one. Nothing in it comes from the request.
func (m *Middleware) appendRefusal(b []byte, form form, p *problem, ds []bucket.Decision, retry int64) []byte {
	b = p.begin(b, form)
	if retry > 0 {
		b = b[:len(b)-len(p.detail)]
		b = appendWait(b, p, retry)
	}
	before, between, after := form.names()
	lead := before
	for i := range ds {
		if !violated(ds[i]) {
			continue
		}
		name := m.names[i]
		if form == formHTML {
			name = m.htmlNames[i]
		}
		if len(b)+len(lead)+len(name)+len(after)+maxEnd > maxBody {
			break
		}
		b = append(append(b, lead...), name...)
		lead = between
	}
	if lead != before {
		b = append(b, after...)
	}
	return p.end(b, form)
}

// appendWait appends how long to wait, in words.
func appendWait(b []byte, p *problem, retry int64) []byte {
	if p.status == http.StatusServiceUnavailable {
		b = append(b, "The server has reached a limit that all clients share."...)
	} else {
		b = append(b, "The quota is used up."...)
	}
	if retry == 1 {
		return append(b, " Try again in 1 second."...)
	}
	b = append(b, " Try again in "...)
	return append(strconv.AppendInt(b, retry, 10), " seconds."...)
}

// begin appends the body up to the end of the detail.
func (p *problem) begin(b []byte, form form) []byte {
	switch form {
	case formHTML:
		b = append(b, `<!doctype html><html lang="en"><meta charset="utf-8"><title>`...)
		b = append(b, p.title...)
		b = append(b, "</title><h1>"...)
		b = append(b, p.title...)
		b = append(b, "</h1><p>"...)
	case formPlain:
		b = append(b, p.title...)
		b = append(b, ".\n"...)
	default:
		b = append(b, '{')
		if p.typ != "" {
			b = append(b, `"type":"`...)
			b = append(b, p.typ...)
			b = append(b, `",`...)
		}
		b = append(b, `"title":"`...)
		b = append(b, p.title...)
		b = append(b, `","status":`...)
		b = strconv.AppendInt(b, int64(p.status), 10)
		b = append(b, `,"detail":"`...)
	}
	return append(b, p.detail...)
}

// end appends what follows the detail, or the names of the policies.
func (p *problem) end(b []byte, form form) []byte {
	switch form {
	case formHTML:
		return append(b, "</p></html>\n"...)
	case formPlain:
		return append(b, '\n')
	default:
		if b[len(b)-1] == ']' {
			return append(b, '}')
		}
		return append(b, `"}`...)
	}
}

// names returns what stands before, between and after the names of policies. A
// valid name needs an escape in HTML alone.
func (f form) names() (before, between, after string) {
	switch f {
	case formHTML:
		return "</p><p>Limit: ", ", ", ""
	case formPlain:
		return "\nLimit: ", ", ", ""
	default:
		return `","violated-policies":["`, `","`, `"]`
	}
}

// htmlNames returns the names as they are in HTML.
func htmlNames(names []string) []string {
	escaped := make([]string, len(names))
	for i, name := range names {
		escaped[i] = html.EscapeString(name)
	}
	return escaped
}
