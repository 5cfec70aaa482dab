package httpmw

import (
	"errors"
	"fmt"
	"strings"
)

const maxName = 64 // characters of a policy's name: keeps a refusal short

// checkNames returns an error unless the names can go into header fields and
// tell the policies apart.
func checkNames(names []string) error {
	if len(names) == 0 {
		return errors.New("httpmw: the limiter has no policy: want at least one")
	}
	seen := make(map[string]bool, len(names))
	for _, name := range names {
		if !validName(name) {
			return fmt.Errorf("httpmw: policy name %q: want 1 to %d characters, a letter or '*' first, "+
				"then letters, digits and !#$%%&'*+-.^_`|~:/", clip(name), maxName)
		}
		if seen[name] {
			return fmt.Errorf("httpmw: policy name %q is there twice: want different names", name)
		}
		seen[name] = true
	}
	return nil
}

// validName tells whether name is legal both as a Token and, without escapes,
// as a String of RFC 9651: drafts of the header fields differ in which it is.
func validName(name string) bool {
	if name == "" || len(name) > maxName || !isAlpha(name[0]) && name[0] != '*' {
		return false
	}
	for i := range len(name) {
		if c := name[i]; !isTokenChar(c) && c != ':' && c != '/' {
			return false
		}
	}
	return true
}

// isToken tells whether s is a token of RFC 9110, such as a field name.
func isToken(s string) bool {
	for i := range len(s) {
		if !isTokenChar(s[i]) {
			return false
		}
	}
	return s != ""
}

func isTokenChar(c byte) bool {
	return isAlpha(c) || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

func isAlpha(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// clip keeps a value short enough for an error message.
func clip(s string) string {
	if len(s) > maxName {
		return s[:maxName] + "…"
	}
	return s
}
