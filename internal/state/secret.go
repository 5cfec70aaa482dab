package state

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"unicode"
)

const (
	secretSize = 32 // bytes, as of persist.Config
	wantSecret = "want 32 random bytes as 64 hexadecimal digits or 44 characters of base64, and nothing after them but one line break"
)

// ReadSecret reads a secret of 32 bytes from the file at path, where it is
// written as 64 hexadecimal digits or in base64 with its padding, with one line
// break after it or none. The file must be a regular one, of this user's or of
// root's, that nobody else may read: the mode of one of this user's may be 0400
// or 0600, and that of one of root's 0440 or 0640 too, since that is how the
// files look that systemd hands to a service. Links are refused. No error shows
// anything of what the file holds, nor names the file.
func ReadSecret(path string) ([]byte, error) {
	text, err := readSecretFile(path)
	var of *fs.PathError
	if errors.As(err, &of) {
		err = of.Err
	}
	if err != nil {
		return nil, err
	}
	secret, ok := parseSecret(strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r"))
	switch {
	case text == "":
		return nil, errors.New("it is empty: " + wantSecret)
	case !ok && len(text) == secretSize && strings.ContainsFunc(text, unicode.IsControl):
		return nil, errors.New("it holds the 32 bytes as they are: want them as text, as base64 FILE prints them")
	case !ok:
		return nil, errors.New("it does not hold a secret: " + wantSecret)
	case string(secret) == string(make([]byte, secretSize)):
		return nil, errors.New("it is all zeros: " + wantSecret)
	}
	return secret, nil
}

// IsSecret tells whether text is a secret, so that it is not to be shown.
func IsSecret(text string) bool {
	_, ok := parseSecret(strings.TrimSpace(text))
	return ok
}

// parseSecret reads a secret without a line break. What is of one length is not
// of the other.
func parseSecret(text string) (secret []byte, ok bool) {
	var err error
	switch {
	case len(text) == hex.EncodedLen(secretSize):
		secret, err = hex.DecodeString(text)
	case len(text) == base64.StdEncoding.EncodedLen(secretSize):
		secret, err = base64.StdEncoding.Strict().DecodeString(text)
	}
	return secret, err == nil && len(secret) == secretSize
}

// readSecretFile returns what a file holds, or more than any secret is long.
func readSecretFile(path string) (string, error) {
	info, err := os.Lstat(path)
	if err == nil {
		err = checkSecretFile(info)
	}
	if err != nil {
		return "", err
	}
	file, err := os.OpenFile(path, os.O_RDONLY|openNoFollow, 0)
	if err != nil {
		return "", err
	}
	defer file.Close()
	// What was looked at may not be what was opened.
	if info, err = file.Stat(); err == nil {
		err = checkSecretFile(info)
	}
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(io.LimitReader(file, 4*secretSize))
	return string(text), err
}

// checkSecretFile checks that a file is regular and whose it is, and that nobody
// else may read it.
func checkSecretFile(info fs.FileInfo) error {
	switch mode := info.Mode(); {
	case mode.IsDir():
		return errors.New("it is a directory: name a file in it")
	case mode&fs.ModeSymlink != 0:
		return errors.New("it is a symbolic link: name the file itself")
	case !mode.IsRegular():
		return fmt.Errorf("it is not a regular file (%v): name another", mode.Type())
	}
	if !hasModes {
		return nil
	}
	owner := ownerOf(info)
	if own := os.Geteuid(); owner != own && owner != 0 {
		return fmt.Errorf("it belongs to user %d, and this runs as user %d: want a file of that user's or of root's", owner, own)
	}
	open := fs.FileMode(0o077)
	if owner == 0 {
		open = 0o037 // the group's bits are also those of an access control list
	}
	if perm := info.Mode().Perm(); perm&open != 0 {
		return fmt.Errorf("it has mode %04o, so others may open it: want 0400 or 0600, or 0440 for a file of root's", perm)
	}
	return nil
}
