package state_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir/internal/state"
)

// some is a secret.
var some = []byte("\x00\xfb\xff3456789abcdef0123456789abcd\n\x00")

func newSecretFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadSecret(t *testing.T) {
	t.Parallel()
	inHex, in64 := hex.EncodeToString(some), base64.StdEncoding.EncodeToString(some)
	for _, text := range []string{inHex, strings.ToUpper(inHex), in64, inHex + "\n", in64 + "\n", inHex + "\r\n", in64 + "\r\n"} {
		if got, err := state.ReadSecret(newSecretFile(t, text)); err != nil || !bytes.Equal(got, some) {
			t.Errorf("%q: %x, %v", text, got, err)
		}
		if !state.IsSecret(text) {
			t.Errorf("%q is not known as a secret", text)
		}
	}
}

func TestReadSecretRefusesWhatIsNone(t *testing.T) {
	t.Parallel()
	inHex, in64 := hex.EncodeToString(some), base64.StdEncoding.EncodeToString(some)
	for _, tt := range []struct{ why, text, want string }{
		{"nothing", "", "it is empty: want 32 random bytes"},
		{"a line break only", "\n", "it does not hold a secret: want 32 random bytes"},
		{"the bytes themselves, as in a .key file", string(some), "it holds the 32 bytes as they are: want them as text, as base64 FILE prints them"},
		{"32 letters, of which nobody can tell whether they are a password", strings.Repeat("a", 32), "it does not hold a secret: "},
		{"two line breaks", inHex + "\n\n", "it does not hold a secret: "},
		{"a line break before", "\n" + inHex, "it does not hold a secret: "},
		{"a space", inHex + " ", "it does not hold a secret: "},
		{"too short", inHex[:62], "it does not hold a secret: "},
		{"too long", inHex + "00", "it does not hold a secret: "},
		{"not hexadecimal", inHex[:63] + "g", "it does not hold a secret: "},
		{"a line break within, which base64 would pass over", in64[:40] + "\n" + in64[41:], "it does not hold a secret: "},
		{"33 bytes of base64", base64.StdEncoding.EncodeToString(append([]byte{1}, some...)), "it does not hold a secret: "},
		{"31 bytes of base64", base64.StdEncoding.EncodeToString(some[1:]), "it does not hold a secret: "},
		{"base64 for URLs", base64.URLEncoding.EncodeToString(some), "it does not hold a secret: "},
		{"base64 without its padding", base64.RawStdEncoding.EncodeToString(some), "it does not hold a secret: "},
		{"base64 with bits that mean nothing", in64[:42] + "B=", "it does not hold a secret: "},
		{"two secrets", inHex + "\n" + inHex + "\n", "it does not hold a secret: "},
		{"all zeros", strings.Repeat("0", 64), "it is all zeros: want 32 random bytes"},
		{"a large file", strings.Repeat("0123456789abcdef", 1<<16), "it does not hold a secret: "},
	} {
		got, err := state.ReadSecret(newSecretFile(t, tt.text))
		if err == nil || got != nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: %x, %v: want %q", tt.why, got, err, tt.want)
			continue
		}
		for _, piece := range []string{inHex[:8], in64[:8], "g\"", "'g'"} {
			if strings.Contains(err.Error(), piece) {
				t.Errorf("%s: the error shows what the file holds: %v", tt.why, err)
			}
		}
	}
}

// A file that others can read or change holds no secret.
func TestReadSecretRefusesFilesOpenToOthers(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("who may open a file is not a matter of its mode")
	}
	root := os.Geteuid() == 0
	for _, tt := range []struct {
		mode os.FileMode
		ok   bool
	}{
		{0o600, true}, {0o400, true}, {0o700, true},
		{0o440, root}, {0o640, root}, // as systemd hands out, of root's
		{0o644, false}, {0o604, false}, {0o404, false}, {0o602, false}, {0o601, false},
		{0o620, false}, {0o660, false}, {0o610, false}, {0o444, false},
	} {
		path := newSecretFile(t, hex.EncodeToString(some))
		if err := os.Chmod(path, tt.mode); err != nil {
			t.Fatal(err)
		}
		_, err := state.ReadSecret(path)
		if want := fmt.Sprintf("it has mode %04o, so others may open it: want 0400 or 0600, or 0440 for a file of root's", tt.mode); tt.ok != (err == nil) || err != nil && err.Error() != want {
			t.Errorf("mode %04o: %v: want %v", tt.mode, err, tt.ok)
		}
	}
	if !root {
		return
	}
	// A file of somebody else's is theirs to change.
	path := newSecretFile(t, hex.EncodeToString(some))
	if err := os.Chown(path, 12345, -1); err != nil {
		t.Skip(err)
	}
	if _, err := state.ReadSecret(path); err == nil || err.Error() != "it belongs to user 12345, and this runs as user 0: want a file of that user's or of root's" {
		t.Errorf("another's file: %v", err)
	}
}

func TestReadSecretRefusesWhatIsNoFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := state.ReadSecret(dir); err == nil || err.Error() != "it is a directory: name a file in it" {
		t.Errorf("a directory: %v", err)
	}
	if _, err := state.ReadSecret(os.DevNull); err == nil || runtime.GOOS != "windows" && !strings.HasPrefix(err.Error(), "it is not a regular file (") {
		t.Errorf("a device: %v", err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(newSecretFile(t, hex.EncodeToString(some)), link); err != nil {
		t.Skip(err)
	}
	if _, err := state.ReadSecret(link); err == nil || err.Error() != "it is a symbolic link: name the file itself" {
		t.Errorf("a link: %v", err)
	}
	if _, err := state.ReadSecret(filepath.Join(dir, "none")); err == nil || strings.Contains(err.Error(), dir) {
		t.Errorf("nothing: %v", err)
	}
}

// Only what could be a secret is hidden, and anything of that form is.
func TestIsSecret(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "weir.key", strings.Repeat("x", 64), "/run/credentials/weir.service/weir.key"} {
		if state.IsSecret(text) {
			t.Errorf("%q is taken for a secret", text)
		}
	}
	if text := " " + hex.EncodeToString(some) + " "; !state.IsSecret(text) {
		t.Errorf("%q is not known as a secret", text)
	}
}

func FuzzReadSecret(f *testing.F) {
	f.Add([]byte(hex.EncodeToString(some) + "\n"))
	f.Add([]byte(base64.StdEncoding.EncodeToString(some)))
	f.Add(some)
	path := filepath.Join(f.TempDir(), "secret")
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		secret, err := state.ReadSecret(path)
		if (err == nil) != (len(secret) == 32) {
			t.Fatalf("%q: %d bytes, %v", text, len(secret), err)
		}
		if err != nil {
			return
		}
		// What is read can only have been written in one of two ways.
		rest, ok := bytes.CutPrefix(bytes.ToLower(text), []byte(hex.EncodeToString(secret)))
		if !ok {
			rest, ok = bytes.CutPrefix(text, []byte(base64.StdEncoding.EncodeToString(secret)))
		}
		if !ok || len(bytes.Trim(rest, "\r\n")) > 0 || !state.IsSecret(string(text)) {
			t.Fatalf("%q is taken for %x", text, secret)
		}
	})
}

func ExampleReadSecret() {
	dir, err := os.MkdirTemp("", "weir")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "secret")
	if err := os.WriteFile(path, []byte(strings.Repeat("5a", 32)+"\n"), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	secret, err := state.ReadSecret(path)
	fmt.Println(len(secret), err)
	// Output: 32 <nil>
}
