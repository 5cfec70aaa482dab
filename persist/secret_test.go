package persist

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSecretGiven(t *testing.T) {
	t.Parallel()
	c := newClock()
	dir := t.TempDir()
	path := filepath.Join(dir, "state")
	given := bytes.Repeat([]byte{7}, secretSize)
	cfg := Config{Secret: bytes.Clone(given)}
	f := mustOpen(t, path, cfg, c)
	cfg.Secret[0] = 1 // it is the caller's again
	if !bytes.Equal(f.Secret(), given) {
		t.Errorf("Secret = %x: want the one given", f.Secret())
	}
	mustSave(t, f, Snapshot{Sections: []Section{section("a", daily, debts{1: time.Hour})}})
	mustClose(t, f)
	if names := list(t, dir); len(names) != 1 {
		t.Errorf("there are %q: want no file with a secret", names)
	}
	// A file with another one is of no concern.
	writeFile(t, path+".key", bytes.Repeat([]byte{9}, secretSize))
	f = mustOpen(t, path, Config{Secret: given}, c)
	got, res := loadAll(f)
	same(t, got["a"], debts{1: time.Hour}, fine)
	if res.MovedTo != "" || !bytes.Equal(f.Secret(), given) {
		t.Errorf("Restored = %+v", res)
	}
	mustClose(t, f)
	if bytes.Contains(readFile(t, path), given) {
		t.Error("the file holds the secret")
	}
	// Another secret, given or in a file, cannot make anything of it.
	for _, cfg := range []Config{{Secret: bytes.Repeat([]byte{8}, secretSize)}, {}} {
		whole := readFile(t, path)
		f = mustOpen(t, path, cfg, c)
		if _, res := loadAll(f); res.Records != 0 || !strings.Contains(res.MovedTo, ".unreadable-") || !strings.Contains(res.Damage, "not the one that it was written with") && !strings.Contains(res.Damage, "is not the secret that it was written with") {
			t.Errorf("Restored = %+v", res)
		}
		mustClose(t, f)
		writeFile(t, path, whole)
	}
}

func TestSecretGivenIsChecked(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		why    string
		secret []byte
		want   string
	}{
		{"too short", make([]byte, 31), "persist: Secret has 31 bytes: want 32, or nil for one in a file of its own"},
		{"too long", make([]byte, 33), "persist: Secret has 33 bytes: want 32, or nil for one in a file of its own"},
		{"empty, such as from a variable that is not set", []byte{}, "persist: Secret has 0 bytes: want 32, or nil for one in a file of its own"},
		{"forgotten to fill in", make([]byte, 32), "persist: Secret is all zeros: want 32 random bytes, or nil for a secret in a file of its own"},
	} {
		dir := t.TempDir()
		if _, err := Open(filepath.Join(dir, "state"), Config{Secret: tt.secret}); err == nil || err.Error() != tt.want {
			t.Errorf("%s: %v: want %s", tt.why, err, tt.want)
		}
		if names := list(t, dir); len(names) != 0 {
			t.Errorf("%s: %q was made", tt.why, names)
		}
	}
}
