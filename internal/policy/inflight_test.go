package policy_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/seed-0c889b51/weir/internal/policy"
)

func ExampleParseInFlight() {
	fmt.Println(policy.ParseInFlight("IP 10"))
	_, err := policy.ParseInFlight("ip 10/s")
	fmt.Println(err)
	// Output:
	// ip 10 <nil>
	// "10/s" is a rate: want how many requests there may be at once, such as "ip 10"
}

func ExampleParseInFlightList() {
	list, err := policy.ParseInFlightList("ip 10", "global 500")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range list {
		fmt.Println(f.Name, f.Max)
	}
	// Output:
	// ip/in-flight 10
	// global/in-flight 500
}

func TestParseInFlight(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]policy.InFlight{
		"ip 10":             {Name: "ip/in-flight", Key: policy.Key{{Kind: policy.IP}}, Max: 10},
		"  IP/48 \t 1 ":     {Name: "ip/48/in-flight", Key: policy.Key{{Kind: policy.IP, Bits: 48}}, Max: 1},
		"global 2147483647": {Name: "global/in-flight", Key: policy.Key{{Kind: policy.Global}}, Max: 2147483647},
	} {
		if got, err := policy.ParseInFlight(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("ParseInFlight(%q) = %+v, %v, want %+v", text, got, err, want)
		}
	}
}

func TestInFlightErrors(t *testing.T) {
	t.Parallel()
	long := "cookie:" + strings.Repeat("n", 64-len("cookie:/in-flight"))
	if _, err := policy.ParseInFlight(long + " 1"); err != nil {
		t.Errorf("a name of 64 characters: %v", err)
	}
	for _, tt := range []struct {
		texts []string
		want  string
	}{
		{[]string{""}, `"": it is empty: want KEY N, such as "ip 10"`},
		{[]string{"10"}, `"10": "10" stands where the key should: want KEY N, such as "ip 10"`},
		{[]string{"10 ip"}, `"10 ip": "10" stands where the key should: want KEY N, such as "ip 10"`},
		{[]string{"ip"}, `"ip": there is no number after key "ip": want KEY N, such as "ip 10"`},
		{[]string{"ipp 10"}, `"ipp 10": key "ipp"` + wantKey + `; did you mean "ip"?`},
		{[]string{"ip +path 1"}, `"ip +path 1": key "ip +path": want no space at a '+', such as ip+path`},
		{[]string{"ip 10/s"}, `"ip 10/s": "10/s" is a rate: want how many requests there may be at once, such as "ip 10"`},
		{[]string{"ip 0"}, `"ip 0": number "0"` + wantCount},
		{[]string{"ip 010"}, `"ip 010": number "010"` + wantCount},
		{[]string{"ip 2147483648"}, `"ip 2147483648": number "2147483648"` + wantCount},
		{[]string{"ip ten"}, `"ip ten": number "ten"` + wantCount},
		{[]string{"ip 10 dry-run"}, `"ip 10 dry-run": after the number comes "dry-run": want KEY N, such as "ip 10"`},
		{[]string{"ip 10", "user 1", "IP 20"}, `"IP 20": "ip 10" has the same key: want one number for each key`},
		{[]string{long + "n 1"}, `"` + long + `n 1": key "` + long + `n" has 55 characters: want at most 54`},
	} {
		list, err := policy.ParseInFlightList(tt.texts...)
		if err == nil || err.Error() != tt.want || list != nil {
			t.Errorf("ParseInFlightList(%q) = %v,\n got %v\nwant %s", tt.texts, list, err, tt.want)
		}
	}
}

// FuzzParseInFlight holds that what is read can be printed and read again, that
// its name may stand in a header field and is no policy's, and that an error is
// one line.
func FuzzParseInFlight(f *testing.F) {
	for _, text := range []string{"ip 10", "ip/48 1", "header:X-Api-Key 5", "ip+path 2147483647", "ip 1 2", "\x1b 1", "10 ip"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := policy.ParseInFlight(text)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\r\n\x1b\x00") {
				t.Errorf("the error is not one line: %q", err)
			}
			return
		}
		again, err := policy.ParseInFlight(got.String())
		if err != nil || !reflect.DeepEqual(got, again) {
			t.Fatalf("ParseInFlight(%q) = %+v, printed %q, read again %+v, %v", text, got, got.String(), again, err)
		}
		checkName(t, policy.Policy{Name: got.Name, Key: got.Key})
		policies, err := policy.ParseList(got.Key.String()+" 1/s", got.Key.String()+" 1/min")
		if err != nil { // the name with a window has no room
			return
		}
		for _, p := range policies {
			if p.Name == got.Name {
				t.Errorf("%s has the name of %s", got, p)
			}
		}
	})
}
