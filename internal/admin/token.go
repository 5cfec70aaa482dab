package admin

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/seed-0c889b51/weir/internal/state"
)

// ReadToken returns the token in a file: 32 random bytes as 64 hexadecimal
// digits or in base64, in a file that nobody else may read, as of
// [state.ReadSecret]. The token is the hexadecimal form, whichever is there. No
// error shows anything of what the file holds, nor names the file.
func ReadToken(path string) (string, error) {
	secret, err := state.ReadSecret(path)
	if err != nil {
		return "", err
	}
	return hex.EncodeToString(secret), nil
}

// OwnToken is ReadToken for a file that is made, with a new token, if there is
// none.
func OwnToken(path string) (string, error) {
	token, err := ReadToken(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return token, err
	}
	secret := make([]byte, 32)
	rand.Read(secret) // never fails
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) { // another process was faster
		return ReadToken(path)
	}
	if err == nil {
		if _, err = fmt.Fprintln(file, hex.EncodeToString(secret)); err == nil {
			err = file.Sync()
		}
		if closing := file.Close(); err == nil {
			err = closing
		}
		if err != nil {
			os.Remove(path)
		}
	}
	var of *fs.PathError
	if errors.As(err, &of) {
		err = of.Err
	}
	if err != nil {
		return "", err
	}
	return hex.EncodeToString(secret), nil
}
