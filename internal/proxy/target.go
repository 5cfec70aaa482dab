package proxy

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// ParseTarget reads the URL of an upstream: http or https, a host, and if
// needed a port and a path that all requests are below. The error says what is
// wrong with it, without the text itself, which may hold a password.
func ParseTarget(text string) (*url.URL, error) {
	const want = "want a URL such as http://127.0.0.1:3000"
	if text == "" {
		return nil, errors.New("it is empty: " + want)
	}
	if !strings.Contains(text, "://") {
		if !strings.ContainsAny(text, "@?# \t\r\n") {
			if u, err := url.Parse("http://" + text); err == nil && u.Hostname() != "" {
				return nil, fmt.Errorf("it has no scheme: %s; did you mean %q?", want, u.String())
			}
		}
		return nil, errors.New("it has no scheme: " + want)
	}
	u, err := url.Parse(text)
	if err != nil {
		var parse *url.Error
		if errors.As(err, &parse) {
			err = parse.Err // without the text
		}
		return nil, fmt.Errorf("it is not a URL (%w): %s", err, want)
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("scheme %.20q: want http or https, such as http://127.0.0.1:3000", u.Scheme)
	case u.User != nil:
		return nil, errors.New("it holds a user or password, which would not be sent: " + want)
	case u.Hostname() == "":
		return nil, errors.New("it has no host: " + want)
	case strings.ContainsFunc(u.Host, func(r rune) bool { return r <= ' ' || r > '~' }):
		return nil, errors.New("the host is not ASCII (xn-- spells other names): " + want)
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, errors.New("it has a query or a fragment: want at most a path, such as http://127.0.0.1:3000/api")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, fmt.Errorf("port %.20q: want 1 to 65535", port)
		}
	} else if strings.HasSuffix(u.Host, ":") {
		return nil, errors.New(`port "": want 1 to 65535, or no colon`)
	}
	return u, nil
}
