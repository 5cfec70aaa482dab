package persist

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

const (
	secretSize   = 32
	secretIDSize = 16
)

// matchSecret is checkSecret, but makes a secret if there is none and the file
// says nothing of one.
func (f *File) matchSecret(id []byte) ([]byte, error) {
	secret, err := f.checkSecret(id)
	if errors.Is(err, fs.ErrNotExist) && id == nil {
		path := f.path + ".key"
		if err := createSecret(path); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("making %s: %w", path, err)
		}
		return f.checkSecret(id)
	}
	return secret, err
}

// checkSecret returns the secret of the file, given what the file says of it,
// or nil if it says nothing yet.
func (f *File) checkSecret(id []byte) ([]byte, error) {
	if given := f.cfg.Secret; given != nil {
		if id != nil && !hmac.Equal(id, secretID(given)) {
			return nil, &unusable{"unreadable", errors.New("the secret given is not the one that it was written with")}
		}
		return given, nil
	}
	path := f.path + ".key"
	secret, err := readSecret(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && id != nil:
		return nil, &unusable{"unreadable", fmt.Errorf("%s is missing: without it no key can be recognized", path)}
	case err != nil:
		return nil, err
	case id != nil && !hmac.Equal(id, secretID(secret)):
		return nil, &unusable{"unreadable", fmt.Errorf("%s is not the secret that it was written with", path)}
	}
	return secret, nil
}

// secretID tells secrets apart and tells nothing about them.
func secretID(secret []byte) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("weir state file"))
	return mac.Sum(nil)[:secretIDSize]
}

func readSecret(path string) ([]byte, error) {
	file, size, err := openPrivate(path, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if size != secretSize {
		return nil, fmt.Errorf("%s has %d bytes: want %d; put back the right one, or remove it and all limits start afresh", path, size, secretSize)
	}
	secret := make([]byte, secretSize)
	if _, err := io.ReadFull(file, secret); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	if bytes.Equal(secret, make([]byte, secretSize)) {
		return nil, fmt.Errorf("%s is all zeros: put back the right one, or remove it and all limits start afresh", path)
	}
	return secret, nil
}

func createSecret(path string) error {
	secret := make([]byte, secretSize)
	_, _ = rand.Read(secret) // never fails
	return writeSecret(path, secret)
}

// writeSecret makes the file of a secret. The error is fs.ErrExist if there is
// one.
func writeSecret(path string, secret []byte) error {
	temp, err := newTemp(path)
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(secret)
	if err = errors.Join(err, temp.Close()); err != nil {
		return err
	}
	return install(temp.Name(), path)
}
