package httpmw_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

func authorization(lines ...string) func(*http.Request) { return field("Authorization", lines...) }

func basic(user, password string) func(*http.Request) {
	return authorization("Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
}

// digest is the key of a credential as it must be in every process, or limits
// would not outlive a restart.
func digest(tag byte, value string) string {
	sum := sha256.New()
	sum.Write([]byte{tag, 0, 0})
	binary.Write(sum, binary.BigEndian, uint64(len(value)))
	io.WriteString(sum, value)
	return string(tag) + string(sum.Sum(nil)[:16])
}

func TestCheck_64_to_67_bearer_and_basic(t *testing.T) {
	t.Parallel()
	const missing = "m4\xc0\x00\x02\x01" // the address of the peer
	for _, row := range []struct {
		why  string
		key  httpmw.Key
		edit func(*http.Request)
		want string
	}{
		{"bearer", httpmw.Bearer(), authorization("Bearer aB"), digest('b', "aB")},
		{"the scheme in any case", httpmw.Bearer(), authorization("bEARER aB"), digest('b', "aB")},
		{"blanks around", httpmw.Bearer(), authorization(" Bearer   aB\t"), digest('b', "aB")},
		{"the token in its case", httpmw.Bearer(), authorization("Bearer ab"), digest('b', "ab")},
		{"a token of other characters", httpmw.Bearer(), authorization("Bearer sk:a/b+c=="), digest('b', "sk:a/b+c==")},
		{"a long token", httpmw.Bearer(), authorization("Bearer " + strings.Repeat("k", 60_000)), digest('b', strings.Repeat("k", 60_000))},
		{"no field", httpmw.Bearer(), func(*http.Request) {}, missing},
		{"another scheme", httpmw.Bearer(), authorization("Basic YTpi"), missing},
		{"a scheme that begins like it", httpmw.Bearer(), authorization("BearerX aB"), missing},
		{"something in front of it", httpmw.Bearer(), authorization("x Bearer aB"), missing},
		{"no scheme", httpmw.Bearer(), authorization("aB"), missing},
		{"no token", httpmw.Bearer(), authorization("Bearer"), missing},
		{"a blank token", httpmw.Bearer(), authorization("Bearer  \t"), missing},
		{"two words", httpmw.Bearer(), authorization("Bearer a B"), missing},
		{"two tokens", httpmw.Bearer(), authorization("Bearer a, Bearer b"), missing},
		{"two fields", httpmw.Bearer(), authorization("Bearer a", "Bearer b"), missing},
		{"two fields alike", httpmw.Bearer(), authorization("Bearer a", "Bearer a"), missing},
		{"no line", httpmw.Bearer(), authorization(), missing},

		{"basic", httpmw.BasicUser(), basic("alice", "x"), digest('a', "alice")},
		{"whatever the password", httpmw.BasicUser(), basic("alice", "y:z"), digest('a', "alice")},
		{"without one", httpmw.BasicUser(), basic("alice", ""), digest('a', "alice")},
		{"the scheme of basic in any case", httpmw.BasicUser(), authorization("bASIC YWxpY2U6eA=="), digest('a', "alice")},
		{"another user", httpmw.BasicUser(), basic("Alice", "x"), digest('a', "Alice")},
		{"a long name", httpmw.BasicUser(), basic(strings.Repeat("u", 5000), "x"), digest('a', strings.Repeat("u", 5000))},
		{"no user", httpmw.BasicUser(), basic("", "x"), missing},
		{"no basic", httpmw.BasicUser(), func(*http.Request) {}, missing},
		{"not base64", httpmw.BasicUser(), authorization("Basic !!!!"), missing},
		{"no colon", httpmw.BasicUser(), authorization("Basic YWxpY2U="), missing},
		{"bearer for basic", httpmw.BasicUser(), authorization("Bearer YWxpY2U6eA=="), missing},
		{"basic twice", httpmw.BasicUser(), authorization("Basic YWxpY2U6eA==", "Basic Ym9iOng="), missing},
	} {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			if got := encoded(t, row.key, row.edit); got != row.want {
				t.Errorf("key %q, want %q", got, row.want)
			}
		})
	}

	t.Run("64_nowhere", func(t *testing.T) {
		t.Parallel()
		const secret, user = "sk_live_abc", "alice@example.org"
		l := newPerKey(policy{name: "a", limit: bucket.PerDay(1)}, policy{name: "b", limit: bucket.PerDay(1)})
		s := limit(t, l, httpmw.Config{Keys: map[string]httpmw.Key{"a": httpmw.Bearer(), "b": httpmw.BasicUser()}})
		var out strings.Builder
		for _, edit := range []func(*http.Request){authorization("Bearer " + secret), basic(user, secret)} {
			for range 3 {
				w := get(t, s, edit)
				fmt.Fprint(&out, w.Code, w.Header(), w.Body)
			}
		}
		fmt.Fprintf(&out, "%+v %q %s", s.Middleware, l.seen, s.log.text())
		if text := out.String(); !strings.Contains(text, "429") || strings.Contains(text, secret) || strings.Contains(text, user) {
			t.Errorf("the credential is in %s", text)
		}
	})

	t.Run("65_one_value_as_each_of_them", func(t *testing.T) {
		t.Parallel()
		seen := map[string]string{}
		for name, k := range map[string]string{
			"bearer":        encoded(t, httpmw.Bearer(), authorization("Bearer alice")),
			"basic":         encoded(t, httpmw.BasicUser(), basic("alice", "x")),
			"authorization": encoded(t, httpmw.Header("Authorization"), authorization("Bearer alice")),
			"header":        encoded(t, apiKey, field("X-Api-Key", "alice")),
			"cookie":        encoded(t, httpmw.Cookie("alice"), cookies("alice=alice")),
			"func":          encoded(t, always("alice")),
			"shared":        encoded(t, httpmw.Bearer().OrShared()),
			"address":       encoded(t, httpmw.ByIP()),
			"network":       encoded(t, httpmw.ByNetwork(32, 128)),
			"missing":       encoded(t, httpmw.Bearer()),
			"global":        encoded(t, httpmw.Global()),
		} {
			if other, ok := seen[k]; ok {
				t.Errorf("%s and %s have the key %q", other, name, k)
			}
			seen[k] = name
		}
	})
}

// certificate returns a certificate of that name and its key, signed by the
// parent or by itself.
func certificate(t *testing.T, name string, parent *tls.Certificate) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true,
		IsCA: parent == nil, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	issuer, signer := c, any(key)
	if parent != nil {
		issuer, signer = parent.Leaf, parent.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, c, issuer, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func TestClientCert(t *testing.T) {
	t.Parallel()
	ca, stranger := certificate(t, "ca", nil), certificate(t, "stranger", nil)
	alice, bob := certificate(t, "alice", ca), certificate(t, "bob", ca)
	forged := certificate(t, "alice", stranger)
	roots := x509.NewCertPool()
	roots.AddCert(ca.Leaf)

	// key returns the key of a request with that certificate.
	key := func(t *testing.T, auth tls.ClientAuthType, cert *tls.Certificate) string {
		l := defaultLimiter()
		s := httptest.NewUnstartedServer(limit(t, l, httpmw.Config{Keys: map[string]httpmw.Key{"default": httpmw.ClientCert()}}))
		s.TLS = &tls.Config{ClientAuth: auth, ClientCAs: roots}
		s.StartTLS()
		defer s.Close()
		client := s.Client()
		if cert != nil {
			// Whether the server says that it would accept it or not.
			client.Transport.(*http.Transport).TLSClientConfig.GetClientCertificate =
				func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
		}
		res, err := client.Get(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return l.lastKey()
	}
	const missing = "m4\x7f\x00\x00\x01"
	for _, row := range []struct {
		why  string
		auth tls.ClientAuthType
		cert *tls.Certificate
		want string
	}{
		{"verified", tls.RequireAndVerifyClientCert, alice, digest('t', string(alice.Leaf.Raw))},
		{"another", tls.RequireAndVerifyClientCert, bob, digest('t', string(bob.Leaf.Raw))},
		{"verified if given", tls.VerifyClientCertIfGiven, alice, digest('t', string(alice.Leaf.Raw))},
		{"not given", tls.VerifyClientCertIfGiven, nil, missing},
		{"not verified", tls.RequireAnyClientCert, forged, missing},
		{"not verified, though it could be", tls.RequestClientCert, alice, missing},
		{"not asked for", tls.NoClientCert, alice, missing},
	} {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			if got := key(t, row.auth, row.cert); got != row.want {
				t.Errorf("key %q, want %q", got, row.want)
			}
		})
	}

	t.Run("without TLS", func(t *testing.T) {
		t.Parallel()
		if got := encoded(t, httpmw.ClientCert()); !strings.HasPrefix(got, "m4") {
			t.Errorf("key %q, want one for the address", got)
		}
		for _, chains := range [][][]*x509.Certificate{nil, {}, {{}}} {
			got := encoded(t, httpmw.ClientCert(), func(r *http.Request) {
				r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{alice.Leaf}, VerifiedChains: chains}
			})
			if !strings.HasPrefix(got, "m4") {
				t.Errorf("key %q of chains %v, want one for the address", got, chains)
			}
		}
	})
}
