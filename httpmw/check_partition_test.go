package httpmw_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/httpmw"
)

func TestCheck_24_partition_key(t *testing.T) {
	t.Parallel()

	t.Run("off_by_default", func(t *testing.T) {
		t.Parallel()
		s := limit(t, newPerKey(policy{name: "a", limit: bucket.PerMinute(1)}), httpmw.Config{})
		for range 2 {
			w := get(t, s)
			for _, name := range []string{"RateLimit", "RateLimit-Policy"} {
				if v := w.Header().Get(name); v == "" || strings.Contains(v, "pk") {
					t.Errorf("%s: %q", name, v)
				}
			}
		}
	})

	t.Run("on_both_fields", func(t *testing.T) {
		t.Parallel()
		s := limit(t, newPerKey(policy{name: "a", limit: bucket.PerMinute(1)}, policy{name: "b", limit: bucket.PerDay(9)}),
			httpmw.Config{PartitionKey: func(_ *http.Request, policy string) []byte {
				return map[string][]byte{"a": {0x00, 0xff}}[policy] // and none for b
			}})
		want(t, get(t, s), 200,
			"RateLimit-Policy", `"a";q=1;w=60;pk=:AP8=:, "b";q=9;w=86400`,
			"RateLimit", `"a";r=0;t=60;pk=:AP8=:, "b";r=8;t=76800`)
		want(t, get(t, s), 429,
			"RateLimit-Policy", `"a";q=1;w=60;pk=:AP8=:, "b";q=9;w=86400`,
			"RateLimit", `"a";r=0;t=60;pk=:AP8=:`)
	})

	t.Run("differs_from_request_to_request", func(t *testing.T) {
		t.Parallel()
		s := limit(t, defaultLimiter(), httpmw.Config{PartitionKey: func(r *http.Request, _ string) []byte {
			return []byte(r.Header.Get("X-Tenant"))
		}})
		for _, tenant := range []string{"alice", "bob", ""} {
			pk := ""
			if tenant != "" {
				pk = ";pk=:" + base64.StdEncoding.EncodeToString([]byte(tenant)) + ":"
			}
			if w := get(t, s, field("X-Tenant", tenant)); !strings.HasSuffix(w.Header().Get("RateLimit"), pk) ||
				w.Header().Get("RateLimit-Policy") != `"default";q=5;w=5`+pk {
				t.Errorf("%q: %v", tenant, w.Header())
			}
		}
	})

	t.Run("too_long_is_left_out_and_told_once", func(t *testing.T) {
		t.Parallel()
		length := 64
		s := limit(t, defaultLimiter(), httpmw.Config{PartitionKey: func(*http.Request, string) []byte { return make([]byte, length) }})
		if w := get(t, s); !strings.Contains(w.Header().Get("RateLimit"), ";pk=:AAAA") {
			t.Errorf("64 bytes: %v", w.Header())
		}
		length++
		for range 3 {
			want(t, get(t, s), 200, "RateLimit-Policy", `"default";q=5;w=5`)
		}
		if s.log.count() != 1 || !hasWarning(s, "long-partition-key", "default") {
			t.Errorf("logged %q, %v", s.log.text(), s.Stats().Warnings)
		}
	})

	t.Run("a_panic_charges_nothing", func(t *testing.T) {
		t.Parallel()
		broken := true
		s := limit(t, defaultLimiter(), httpmw.Config{PartitionKey: func(*http.Request, string) []byte {
			if broken {
				panic("x")
			}
			return nil
		}})
		want(t, get(t, s), 503)
		if !strings.Contains(s.log.text(), "PartitionKey of policy default panicked") {
			t.Errorf("logged %q", s.log.text())
		}
		broken = false
		want(t, get(t, s), 200, "RateLimit", `"default";r=4;t=4`)
	})

	t.Run("wants_a_form_that_has_it", func(t *testing.T) {
		t.Parallel()
		l := defaultLimiter()
		for set, ok := range map[httpmw.FieldSet]bool{
			0: true, httpmw.Draft11 | httpmw.XRateLimit: true,
			httpmw.Draft7: false, httpmw.Draft6: false, httpmw.XRateLimit: false, httpmw.NoFields: false,
		} {
			_, err := httpmw.New(l, httpmw.Config{Keys: byIP(l), Fields: set, PartitionKey: func(*http.Request, string) []byte { return nil }})
			if (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "PartitionKey is set and Fields is "+set.String()) {
				t.Errorf("%v: error %v", set, err)
			}
		}
	})
}

// A partition key made of an address is not the address, nor a hash that
// somebody else could make.
func TestHashPartition(t *testing.T) {
	t.Parallel()
	addr := func(r *http.Request, _ string) string { return r.RemoteAddr }
	secret := []byte("0123456789abcdef")
	pk, err := httpmw.HashPartition(secret, addr)
	if err != nil {
		t.Fatal(err)
	}
	other, err := httpmw.HashPartition([]byte("another secret!!"), addr)
	if err != nil {
		t.Fatal(err)
	}
	r, r2 := &http.Request{RemoteAddr: "192.0.2.1:1"}, &http.Request{RemoteAddr: "192.0.2.2:1"}
	one := pk(r, "a")
	clear(secret) // it was copied
	if len(one) != 12 || !bytes.Equal(one, pk(r, "a")) {
		t.Errorf("%x, then %x: want the same 12 bytes", one, pk(r, "a"))
	}
	for why, b := range map[string][]byte{
		"another client": pk(r2, "a"), "another policy": pk(r, "b"), "another secret": other(r, "a"),
		"a border between policy and value": pk(&http.Request{RemoteAddr: "a192.0.2.1:1"}, ""),
	} {
		if bytes.Equal(one, b) {
			t.Errorf("%s: the same key", why)
		}
	}
	if b := pk(&http.Request{}, "a"); b != nil {
		t.Errorf("%x of no value, want none", b)
	}
	if _, err := httpmw.HashPartition(secret[:15], addr); err == nil || !strings.Contains(err.Error(), "15 bytes: want at least 16") {
		t.Errorf("short secret: %v", err)
	}
	if _, err := httpmw.HashPartition(secret, nil); err == nil {
		t.Error("no error without a function")
	}
}

func ExampleHashPartition() {
	pk, err := httpmw.HashPartition([]byte("a secret of 16 bytes or more"),
		func(r *http.Request, _ string) string { return r.Header.Get("X-Tenant") })
	if err != nil {
		fmt.Println(err)
		return
	}
	limit, err := httpmw.New(exampleLimiter("tenant"), httpmw.Config{
		Keys:         map[string]httpmw.Key{"tenant": httpmw.Header("X-Tenant")},
		PartitionKey: pk,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	show(limit.Handler(hello), field("X-Tenant", "acme"))
	show(limit.Handler(hello)) // no tenant, no partition key
	// Output:
	// 200 "tenant";r=1;t=30;pk=:FujJYAX+DprOr+Xk:
	// 200 "tenant";r=1;t=30
}
