package httpmw_test

import (
	"encoding/base64"
	"net/http"
	"testing"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

// However the credential is spelled that some server takes as alice's, it is
// hers, and nobody is without a name by it.
func TestCheck_65_spellings_of_a_credential(t *testing.T) {
	t.Parallel()
	const alice = "YWxpY2U6eA==" // alice:x
	for _, row := range []struct {
		why, line string
	}{
		{"as RFC 7617 has it", "Basic " + alice},
		{"the scheme in any case", "bAsIc " + alice},
		{"two spaces", "Basic  " + alice},
		{"many", "Basic                  " + alice},
		{"a tab", "Basic\t" + alice},
		{"spaces and tabs, and around", " \tBasic \t " + alice + " \t"},
		{"without padding", "Basic YWxpY2U6eA"},
		{"with half of it", "Basic YWxpY2U6eA="},
		{"with some in the middle", "Basic YWxp=Y2U6eA=="},
		{"with too much", "Basic YWxpY2U6eA===="},
		{"bits that count for nothing", "Basic YWxpY2U6eB=="},
		{"characters that are no part of it", "Basic !YWx.pY\x012U6\u00e9eA=="},
		{"blanks in it", "Basic YWxp Y2U6\teA=="},
		{"something behind the end", "Basic " + alice + ", Basic Ym9iOng="},
		{"a character that is not a byte", "Basic YWxpY2U6!eHh4A"},
	} {
		if got := encoded(t, httpmw.BasicUser(), authorization(row.line)); got != digest('a', "alice") {
			t.Errorf("%s: %q is not alice's", row.why, row.line)
		}
		// By OrSkip those without a name have no limit.
		l := newPerKey(policy{name: "a", limit: bucket.PerDay(1)})
		s := limit(t, l, httpmw.Config{Keys: map[string]httpmw.Key{"a": httpmw.BasicUser().OrSkip()}})
		want(t, get(t, s, authorization("Basic "+alice)), 200)
		want(t, get(t, s, authorization(row.line)), 429)
	}
	for _, line := range []string{"Bearer aB", "bEARER aB", "Bearer  aB", "Bearer\taB", "\tBearer \t aB ", "BEARER      aB"} {
		if got := encoded(t, httpmw.Bearer(), authorization(line)); got != digest('b', "aB") {
			t.Errorf("%q is not the same token", line)
		}
	}
	// The alphabet of URLs.
	const name = "\xfb\xff\xbe" // +/++, or -_--
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		line := "Basic " + enc.EncodeToString([]byte(name+":x"))
		if got := encoded(t, httpmw.BasicUser(), authorization(line)); got != digest('a', name) {
			t.Errorf("%q is not the same user", line)
		}
	}
}

// FuzzBasicUser has a name for whatever net/http has one for, and the same.
func FuzzBasicUser(f *testing.F) {
	for _, line := range []string{"Basic YWxpY2U6eA==", "basic  YWxp", "Basic =", "Basic A", "Basic ::", "Basic Og==", "Basic\t-_"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		r := &http.Request{Header: http.Header{"Authorization": {line}}}
		got := encoded(t, httpmw.BasicUser(), authorization(line))
		if user, _, ok := r.BasicAuth(); ok && user != "" && got != digest('a', user) {
			t.Errorf("%q is not of %q", line, user)
		}
	})
}
