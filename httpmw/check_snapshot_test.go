package httpmw_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

// What identifies a client is not in what a limiter keeps of it: neither as it
// is nor in a form that somebody with the file could try guesses against.
func TestCheck_64_nothing_of_a_client_in_the_file(t *testing.T) {
	t.Parallel()
	const (
		secret  = "sk_live_abcdefghijklmnopqrstuvwxyz0123456789"
		user    = "alice.of.wonderland"
		address = "2001:db8:dead:beef:cafe:f00d:1234:5678"
		private = "/private/documents/of/alice"
	)
	dir := t.TempDir()
	log := &logLines{}
	limit := bucket.PerDay(2)
	limiter, err := weir.New(weir.Config{
		Path: filepath.Join(dir, "state.db"), Interval: 24 * time.Hour, Logger: log.logger(),
		Policies: []weir.Policy{
			{Name: "address", Limit: limit}, {Name: "api-key", Limit: limit}, {Name: "cookie", Limit: limit}, {Name: "bearer", Limit: limit},
			{Name: "user", Limit: limit}, {Name: "path", Limit: limit}, {Name: "joined", Limit: limit},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]httpmw.Key{
		"address": httpmw.ByIP(), "api-key": apiKey, "cookie": httpmw.Cookie("sid"), "bearer": httpmw.Bearer(),
		"user": httpmw.Func(func(*http.Request) string { return user }), "path": httpmw.Path(),
		"joined": httpmw.Join(httpmw.ByIP(), apiKey, httpmw.Func(func(*http.Request) string { return user })),
	}
	m, err := httpmw.New(limiter, httpmw.Config{Keys: keys, Logger: log.logger()})
	if err != nil {
		t.Fatal(err)
	}
	request := []func(*http.Request){
		from("[" + address + "]:1"), field("X-Api-Key", secret), cookies("sid=" + secret), field("Authorization", "Bearer "+secret), path(private),
	}
	var told strings.Builder
	h := m.Handler(http.NotFoundHandler())
	for i, status := range []int{404, 404, 429} {
		w := get(t, h, request...)
		if w.Code != status {
			t.Fatalf("request %d: %d, want %d", i+1, w.Code, status)
		}
		if status == 429 {
			fmt.Fprintln(&told, w.Header(), w.Body)
		}
	}
	fmt.Fprintf(&told, "%+v %#v %+v %+v", m, limiter, m.Stats(), limiter.Stats())
	if err := limiter.Close(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(&told, log.text())

	// Each as it is, as its bytes, as the key that it becomes, and hashed without a
	// secret; of all these any 8 bytes, in either order, or as text.
	ip := netip.MustParseAddr(address).As16()
	values := map[string][]byte{
		"the credential": []byte(secret), "the user": []byte(user), "the address": []byte(address), "the path": []byte(private),
		"the bytes of the address": ip[:],
	}
	for name, key := range keys {
		k := encoded(t, key, request...)
		values["the key of "+name], values["the key of "+name+" without its tag"] = []byte(k), []byte(k[1:])
	}
	for name, value := range maps.Clone(values) {
		sum := sha256.Sum256(value)
		values[name+", hashed"] = sum[:]
	}
	for name, value := range maps.Clone(values) {
		values[name+", in hex"] = []byte(hex.EncodeToString(value))
		values[name+", in base64"] = []byte(base64.RawStdEncoding.EncodeToString(value))
		backwards := slices.Clone(value)
		slices.Reverse(backwards)
		values[name+", backwards"] = backwards
	}
	files, size := 0, 0
	err = filepath.WalkDir(dir, func(file string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(file)
		files, size = files+1, size+len(text)
		for name, value := range values {
			for i := 0; i+8 <= len(value); i++ {
				if bytes.Count(value[i:i+8], []byte{0}) > 3 { // which says little, and files are full of it
					continue
				}
				if bytes.Contains(text, value[i:i+8]) {
					t.Errorf("of %s %q is in %s", name, value[i:i+8], filepath.Base(file))
					break
				}
			}
			if len(value) >= 8 && strings.Contains(told.String(), string(value)) {
				t.Errorf("%s is in what is told:\n%s", name, told.String())
			}
		}
		return err
	})
	if err != nil || files == 0 || size < 1024 {
		t.Fatalf("%d files of %d bytes, %v: there is nothing to look at", files, size, err)
	}

	// It is in there nevertheless: nobody has more left after a restart.
	again, err := weir.New(weir.Config{Path: filepath.Join(dir, "state.db"), Policies: []weir.Policy{{Name: "api-key", Limit: limit}}})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	m, err = httpmw.New(again, httpmw.Config{Keys: map[string]httpmw.Key{"api-key": apiKey}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if w := get(t, m.Handler(http.NotFoundHandler()), field("X-Api-Key", secret)); w.Code != 429 {
		t.Errorf("after a restart: %d, want 429", w.Code)
	}
}
