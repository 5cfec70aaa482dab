package httpmw_test

import (
	"testing"
)

// What Config.Routes says of spellings.
func TestRoutes_spellings(t *testing.T) {
	t.Parallel()
	one := []string{"/login", "/login/", "//login", "/./login", "/x/../login", "/%6Cogin", "/login;a=b", `/\login`, "/login?a=b"}
	others := []string{"/login.json", "/login.", "/login%00", "/login%20", "/%256Cogin"}
	for _, row := range []struct {
		why      string
		fold     bool
		patterns []string
		in, out  []string
	}{
		{"the pattern alone", false, []string{"POST /login"}, one, append([]string{"/LOGIN", "/Login"}, others...)},
		{"in any case", true, []string{"POST /login"}, append([]string{"/LOGIN", "/%4Cogin", "//LogIn/"}, one...), append([]string{"/LOGIN.json"}, others...)},
		{"with one that is the same to a framework", false, []string{"POST /login", "POST /login.json", "POST /login%00"},
			append([]string{"/login.json", "/login%00", "/x/../login%00/"}, one...), []string{"/login%20"}},
		{"a wider one", false, []string{"POST /{page}"}, append(others, one...), []string{"/a/b", "/"}},
	} {
		s, _ := routed(t, 1000, row.fold, row.patterns...)
		for _, target := range row.in {
			if !asked(t, s, parse("POST", target, "api.example.com")) {
				t.Errorf("%s: %s is not limited", row.why, target)
			}
		}
		for _, target := range row.out {
			if asked(t, s, parse("POST", target, "api.example.com")) {
				t.Errorf("%s: %s is limited", row.why, target)
			}
		}
	}
}
