package serve

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// lookEvery is how often it is looked whether the files of a certificate have
// changed, at most.
const lookEvery = time.Second

// A certificate is read from two files, and read again when they change. Until
// they hold a new one that can be used the old one is.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger
	now               atomic.Pointer[tls.Certificate]

	mu     sync.Mutex // held by who looks at the files; the others do not wait
	looked time.Time
	read   stamp  // of what now is
	failed string // what was logged last, "" if the last reading went well
}

// A stamp changes when one of the files does.
type stamp [2]struct {
	modified time.Time
	size     int64
}

// newCertificate reads a certificate.
func newCertificate(certFile, keyFile string, log *slog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log, looked: time.Now()}
	var err error
	if c.read, err = c.stamp(); err != nil {
		return nil, err
	}
	return c, c.load()
}

// stamp looks at the files.
func (c *certificate) stamp() (s stamp, err error) {
	for i, file := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(file)
		if err != nil {
			return stamp{}, err
		}
		s[i].modified, s[i].size = info.ModTime(), info.Size()
	}
	return s, nil
}

// load reads the files.
func (c *certificate) load() error {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return err
	}
	c.now.Store(&pair)
	return nil
}

// get returns the certificate for a handshake.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c.mu.TryLock() {
		if now := time.Now(); now.Sub(c.looked) >= lookEvery {
			c.looked = now
			c.look()
		}
		c.mu.Unlock()
	}
	return c.now.Load(), nil
}

// look reads the files if they have changed. What it cannot use it reads again
// the next time: the other file may have yet to be written.
func (c *certificate) look() {
	s, err := c.stamp()
	if err == nil {
		if s == c.read {
			return
		}
		err = c.load()
	}
	if err != nil {
		if text := err.Error(); text != c.failed {
			c.failed = text
			c.log.Error("the new certificate cannot be used: the old one still is", "reason", text)
		}
		return
	}
	c.read, c.failed = s, ""
	c.log.Info("a new certificate is used", "until", c.now.Load().Leaf.NotAfter.UTC().Format(time.RFC3339))
}

// tlsConfig returns the TLS side of the server, nil if there is none.
func tlsConfig(cfg Config) (*tls.Config, error) {
	if cfg.TLSCert == "" && cfg.TLSKey == "" {
		return nil, nil
	}
	c, err := newCertificate(cfg.TLSCert, cfg.TLSKey, cfg.Logger)
	if err != nil {
		return nil, configError(fmt.Errorf("--tls-cert %q, --tls-key %q: %w: want a certificate with its chain, and its key, in PEM",
			cfg.TLSCert, cfg.TLSKey, err))
	}
	return &tls.Config{GetCertificate: c.get, MinVersion: tls.VersionTLS12}, nil
}
