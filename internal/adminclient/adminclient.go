// Package adminclient asks the admin listener of weir serve.
package adminclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/seed-0c889b51/weir/internal/adminapi"
)

const (
	timeout   = 30 * time.Second // of an answer; many keys take a while
	maxAnswer = 16 << 20         // bytes
)

// Errors that have a cure of their own.
var (
	ErrUnreachable = errors.New("no answer")
	ErrToken       = errors.New("the token is wanted")
)

// A Client asks one listener. It is safe for concurrent use. [New] makes one.
type Client struct {
	name  string // of the listener, for errors
	base  url.URL
	token string
	http  *http.Client
}

// CheckAddress returns an error that says what is wanted if address is none that
// [New] takes.
func CheckAddress(address string) error {
	_, _, err := parse(address)
	return err
}

// New returns a client of the listener at an address: HOST:PORT, a URL, or unix:
// and the path of a socket. The token, if it is not "", is sent along; it is an
// error if others could read it on its way.
func New(address, token string) (*Client, error) {
	base, socket, err := parse(address)
	if err != nil {
		return nil, err
	}
	if token != "" && socket == "" && base.Scheme == "http" && !loopback(base.Hostname()) {
		return nil, fmt.Errorf("the token would go to %s for everybody on the way to read: want https://, or an address of this machine", base.Host)
	}
	dialer := net.Dialer{Timeout: 5 * time.Second}
	transport := &http.Transport{ // through no proxy: the listener refuses what comes through one
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if socket != "" {
				network, addr = "unix", socket
			}
			return dialer.DialContext(ctx, network, addr)
		},
		TLSHandshakeTimeout: 5 * time.Second,
		MaxIdleConns:        2,
	}
	return &Client{name: address, base: base, token: token, http: &http.Client{
		Transport: transport, Timeout: timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the token is for nobody else
	}}, nil
}

// parse returns the URL of a listener and the path of its socket, if it is one.
func parse(address string) (base url.URL, socket string, err error) {
	const want = "want HOST:PORT such as 127.0.0.1:9429, a URL such as https://weir.example:9429, or unix:PATH"
	if path, is := strings.CutPrefix(address, "unix:"); is {
		if path == "" || strings.ContainsRune(path, 0) {
			return base, "", errors.New("it has no path: want unix:PATH, such as unix:/run/weir/admin.sock")
		}
		return url.URL{Scheme: "http", Host: "localhost"}, path, nil
	}
	text := address
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	switch {
	case err != nil, u.Host == "", u.Path != "" && u.Path != "/", u.RawQuery != "", u.Fragment != "", u.User != nil:
		return base, "", errors.New(want)
	case u.Scheme != "http" && u.Scheme != "https":
		return base, "", fmt.Errorf("scheme %.20q: want http or https", u.Scheme)
	}
	if text := u.Port(); text != "" || !strings.Contains(address, "://") {
		if port, err := strconv.Atoi(text); err != nil || port < 1 || port > 65535 {
			return base, "", errors.New(want)
		}
	}
	host := u.Host
	if u.Hostname() == "" { // as serve listens on :9429
		host = "127.0.0.1" + host
	}
	return url.URL{Scheme: u.Scheme, Host: host}, "", nil
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback() || strings.EqualFold(host, "localhost")
}

// Status returns how the server does.
func (c *Client) Status(ctx context.Context) (adminapi.Status, error) {
	var s adminapi.Status
	return s, c.do(ctx, http.MethodGet, adminapi.PathStatus, nil, nil, &s)
}

// Keys returns up to n keys, 1 to 1000, with the least left of a policy, or of
// all if it is "".
func (c *Client) Keys(ctx context.Context, policy string, n int) ([]adminapi.Key, error) {
	query := url.Values{"n": {strconv.Itoa(n)}}
	if policy != "" {
		query.Set("policy", policy)
	}
	keys := []adminapi.Key{}
	return keys, c.do(ctx, http.MethodGet, adminapi.PathKeys, query, nil, &keys)
}

// Reset makes the bucket of a key full. The key is its text, as of Keys.
func (c *Client) Reset(ctx context.Context, policy, key string) error {
	return c.do(ctx, http.MethodPost, adminapi.PathReset, nil, adminapi.Reset{Policy: policy, Key: key}, nil)
}

// Whoami returns how a request of this client itself would be counted.
func (c *Client) Whoami(ctx context.Context) (adminapi.Whoami, error) {
	var w adminapi.Whoami
	return w, c.do(ctx, http.MethodGet, adminapi.PathWhoami, nil, nil, &w)
}

// Ask returns how a request would be counted that is not sent.
func (c *Client) Ask(ctx context.Context, q adminapi.Question) (adminapi.Whoami, error) {
	var w adminapi.Whoami
	return w, c.do(ctx, http.MethodPost, adminapi.PathWhoami, nil, q, &w)
}

// do sends a request with a body, unless that is nil, and decodes the answer
// into into, unless that is nil.
func (c *Client) do(ctx context.Context, method, path string, query url.Values, body, into any) error {
	u := c.base
	u.Path, u.RawQuery = path, query.Encode()
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, u.String(), content)
	if err != nil {
		return err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := c.http.Do(r)
	if err != nil {
		return c.unreachable(ctx, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return c.unreachable(ctx, err)
	case len(text) > maxAnswer:
		return fmt.Errorf("%s answers with more than %d MiB", c.name, maxAnswer>>20)
	case response.StatusCode >= 300:
		return c.refused(response, text)
	case into == nil:
		return nil
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s answers with what is not of weir's admin listener: %w", c.name, err)
	}
	return nil
}

// unreachable is err without the URL, which names what was asked about.
func (c *Client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var of *url.Error
	if errors.As(err, &of) {
		if of.Timeout() {
			return fmt.Errorf("%s: %w within %v", c.name, ErrUnreachable, timeout)
		}
		err = of.Err
	}
	hint := ""
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT) {
		hint = "; is weir serve running, and listens there for its owner (--admin)?"
	}
	return fmt.Errorf("%s: %w: %w%s", c.name, ErrUnreachable, err, hint)
}

// refused is what an answer that is an error says.
func (c *Client) refused(response *http.Response, text []byte) error {
	var p adminapi.Problem
	said := response.Status
	if json.Unmarshal(text, &p) == nil && p.Title != "" {
		if said = p.Detail; said == "" {
			said = p.Title
		}
	}
	if len(said) > 400 {
		said = said[:400] + "..."
	}
	if response.StatusCode == http.StatusUnauthorized {
		if c.token == "" {
			return fmt.Errorf("%s: %w", c.name, ErrToken)
		}
		return fmt.Errorf("%s: %w, and this is not it", c.name, ErrToken)
	}
	return fmt.Errorf("%s: %s", c.name, said)
}
