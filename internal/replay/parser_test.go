package replay

import (
	"bufio"
	"fmt"
	"strings"
	"testing"
	"time"
)

const at1 = "2015-05-17T10:05:03Z"

func shownRecord(r *record) string {
	return fmt.Sprintf("%s client=%s user=%s path=%s", time.Unix(0, r.at).UTC().Format(time.RFC3339Nano), r.client, r.user, r.path)
}

type parserRow struct {
	line, want string // a record, or the text of an error
	why        string
}

func checkParser(t *testing.T, parse parser, rows []parserRow) {
	t.Helper()
	for _, row := range rows {
		var r record
		got := ""
		if err := parse([]byte(row.line), &r); err != nil {
			got = err.Error()
		} else {
			got = shownRecord(&r)
		}
		if got != row.want {
			t.Errorf("%s: %s\n got %s\nwant %s", row.why, row.line, got, row.want)
		}
	}
}

func TestCombined(t *testing.T) {
	t.Parallel()
	checkParser(t, (&combined{}).parse, []parserRow{
		{`192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET /a?b=c HTTP/1.1" 200 12`, at1 + " client=192.0.2.1 user= path=/a?b=c", "the common format"},
		{`192.0.2.1 - alice [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 200 12 "http://x/" "curl"`, at1 + " client=192.0.2.1 user=alice path=/a", "the combined format"},
		{`2001:db8::1 - - [17/May/2015:12:05:03 +0200] "POST / HTTP/2.0" 200 -`, at1 + " client=2001:db8::1 user= path=/", "IPv6, another zone"},
		{`192.0.2.1 - al ice [x [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 -`, at1 + " client=192.0.2.1 user=al ice [x path=/", "a user with spaces and a bracket"},
		{`example.org:443 192.0.2.1 - alice [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 -`, at1 + " client=192.0.2.1 user=alice path=/", "the host in front"},
		{`example.org 2001:db8::1 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 -`, at1 + " client=2001:db8::1 user= path=/", "the host in front of IPv6"},
		{`client.example - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 -`, at1 + " client=client.example user= path=/", "a name in place of the address"},
		{`192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET /a\"b c\" HTTP/1.1" 200 -`, at1 + ` client=192.0.2.1 user= path=/a\"b c\"`, "quotation marks and spaces in the path"},
		{`192.0.2.1 - - [17/May/2015:10:05:03 +0000] "\x16\x03\x01" 400 0`, at1 + " client=192.0.2.1 user= path=", "what is no request, as of TLS"},
		{`192.0.2.1 - - [17/May/2015:10:05:03 +0000] "-" 408 0`, at1 + " client=192.0.2.1 user= path=", "a request that never came"},
		{`192.0.2.1 - - [17/May/2015:10:05:03 +0000] "" 400 0`, at1 + " client=192.0.2.1 user= path=", "an empty request"},
		{`192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET /old" 200 0`, at1 + " client=192.0.2.1 user= path=/old", "HTTP 0.9"},
		{`192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET /a`, errRequest.Error(), "a line that is cut off in the request"},
		{`192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET /a\`, errRequest.Error(), "and behind a backslash"},
		{`192.0.2.1 - - [17/May/2015:10:05:03 +0000]`, errRequest.Error(), "after the time"},
		{`192.0.2.1 - - [17/May/2015:10:05:03 +00`, errCommonTime.Error(), "in the time"},
		{`192.0.2.1 - - [`, errCommonTime.Error(), "before the time"},
		{`192.0.2.1 - `, errCommon.Error(), "in the user"},
		{`192.0.2.1`, errCommon.Error(), "in the address"},
		{``, errCommon.Error(), "nothing"},
		{`192.0.2.1 - - [17/Mai/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 -`, errCommonTime.Error(), "a month of another language"},
		{`192.0.2.1 - - [17/May/2015:10:05:03 +0000) "GET / HTTP/1.1" 200 -`, errCommonTime.Error(), "a bracket that is none"},
		{`- - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 -`, errNoClient.Error(), "no client"},
		{`192.0.2.1 - - [01/Jan/1970:00:00:00 +0500] "GET / HTTP/1.1" 200 -`, errTimeRange.Error(), "before 1970"},
	})
}

func TestCaddy(t *testing.T) {
	t.Parallel()
	checkParser(t, (&caddy{}).parse, []parserRow{
		{`{"level":"info","ts":1431857103.5,"logger":"http.log.access","msg":"handled request","request":{"remote_ip":"10.0.0.1","remote_port":"4","client_ip":"192.0.2.1","proto":"HTTP/2.0","method":"GET","host":"x","uri":"/a?b","headers":{"User-Agent":["c{\"}[url"]},"tls":{"resumed":false,"version":772}},"bytes_read":0,"user_id":"alice","duration":0.0009,"size":10900,"status":200,"resp_headers":{"Server":["Caddy"],"Etag":["\"s\""]}}`,
			"2015-05-17T10:05:03.5Z client=192.0.2.1 user=alice path=/a?b", "as Caddy writes it"},
		{`{"request":{"uri":"\/\u00e4\ud83d\ude00\"\n","remote_ip":"192.0.2.1"},"ts":1431857103}`, at1 + " client=192.0.2.1 user= path=/ä😀\"\n", "escapes; no client_ip"},
		{`{"ts":"2015-05-17T10:05:03Z","request":{"remote_addr":"[2001:db8::1]:5000","uri":"/"}}`, at1 + " client=[2001:db8::1]:5000 user= path=/", "a time as text; the address of older versions"},
		{`{"ts":1431857103123.0,"request":{"client_ip":"","remote_ip":"192.0.2.1","uri":"/"},"user_id":null}`, "2015-05-17T10:05:03.123Z client=192.0.2.1 user= path=/", "milliseconds, null, an empty address"},
		{` { "ts" : 1431857103 , "a" : [ 1 , [ ] , { } , -1.5e+3 , true ] , "request" : { "client_ip" : "192.0.2.1" } } `, at1 + " client=192.0.2.1 user= path=", "spaces; what is not needed"},
		{`{"ts":1,"ts":1431857103,"request":{"client_ip":"1.1.1.1"},"request":{"remote_ip":"192.0.2.1"}}`, at1 + " client=192.0.2.1 user= path=", "twice: the last counts"},
		{`{"level":"info","ts":1431857103.5,"msg":"server running"}`, errNoRequest.Error(), "another message"},
		{`{"ts":1431857103.5,"request":"no"}`, errNoRequest.Error(), "a request that is a text"},
		{`{"ts":1431857103,"logger":"http.log.error","request":{"client_ip":"192.0.2.1"}}`, errNoRequest.Error(), "an error of a request that has a line of its own"},
		{`{"ts":1431857103,"request":{"uri":"/"}}`, errNoClient.Error(), "no client"},
		{`{"request":{"client_ip":"192.0.2.1"}}`, errCaddyTime.Error(), "no time"},
		{`{"ts":"17 May","request":{"client_ip":"192.0.2.1"}}`, errCaddyTime.Error(), "a time that is none"},
		{`{"ts":1431857103,"request":{"client_ip":"192.0.2.1"}`, errJSON.Error(), "cut off"},
		{`{"ts":1431857103,"request":{"client_ip":"192.0.2.1`, errJSON.Error(), "cut off in a string"},
		{`{"ts":1431857103,"request":{"client_ip":"192.0.2.1\`, errJSON.Error(), "cut off behind a backslash"},
		{`{"ts":1431857103,"request":{"client_ip":"\u12"}}`, errJSON.Error(), "an escape that is none"},
		{`{"ts":1431857103,"request":{"client_ip":"192.0.2.1"}} x`, errJSON.Error(), "something after it"},
		{`{"ts":01,"request":{"client_ip":"192.0.2.1"}}`, errJSON.Error(), "a number that is none"},
		{`{"ts":1431857103,}`, errJSON.Error(), "a comma too many"},
		{`["ts"]`, errJSON.Error(), "an array"},
		{`{"a":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`, errJSON.Error(), "too deep"},
		{strings.Repeat(`{"a":`, 1000) + "1" + strings.Repeat("}", 1000), errJSON.Error(), "objects too deep"},
		{``, errJSON.Error(), "nothing"},
	})
}

func TestCSV(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		header  string
		columns Columns
		rows    []parserRow
	}{
		{"time,ip,user,path,status", Columns{}, []parserRow{
			{"1431857103,192.0.2.1,alice,/a,200", at1 + " client=192.0.2.1 user=alice path=/a", "plain"},
			{`"2015-05-17 10:05:03","192.0.2.1","al ""ice"", too","/a,b",200`, at1 + ` client=192.0.2.1 user=al "ice", too path=/a,b`, "quotes"},
			{"17/May/2015:10:05:03 +0000, 192.0.2.1 ,-,/a", at1 + " client=192.0.2.1 user= path=/a", "spaces, no user, and the rest left out"},
			{`1431857103,"192.0.2.1",alice,"/a`, errQuote.Error(), "a quotation mark that is not closed"},
			{`1431857103,"192.0.2.1"x,alice,/a`, errQuote.Error(), "something after one"},
			{"1431857103,192.0.2.1", errColumns.Error(), "too few columns"},
			{"yesterday,192.0.2.1,,", errTime.Error(), "no time"},
			{"1431857103,,,", errNoClient.Error(), "no client"},
			{"", errColumns.Error(), "nothing"},
		}},
		{"\ufeffWhen;Who;\"What, and where\"", Columns{Time: "when", Client: "who", Path: "What, and where"}, []parserRow{
			{"1431857103;h-5f3a;/a", at1 + " client=h-5f3a user= path=/a", "names of one's own, another mark between, a client that is no address"},
		}},
		{"src_ip\tts", Columns{}, []parserRow{{"192.0.2.1\t1431857103", at1 + " client=192.0.2.1 user= path=", "tabs, and only what is needed"}}},
	} {
		p, err := newCSV([]byte(tt.header), tt.columns)
		if err != nil {
			t.Errorf("%q: %v", tt.header, err)
			continue
		}
		checkParser(t, p.parse, tt.rows)
	}
	for _, tt := range []struct {
		header  string
		columns Columns
		want    string
	}{
		{"a,b", Columns{}, "the header has no column that is called like one of the time (time, timestamp, ts and others)"},
		{"time,b", Columns{}, "the header has no column that is called like one of the client (client, client_ip, clientip and others)"},
		{"time,clien", Columns{Client: "client"}, `the header has no column "client" for the client; did you mean "clien"?`},
		{"time,ip", Columns{User: "who"}, `the header has no column "who" for the user`},
		{`time,"ip`, Columns{}, "header: " + errQuote.Error()},
	} {
		if _, err := newCSV([]byte(tt.header), tt.columns); err == nil || err.Error() != tt.want {
			t.Errorf("%q: %v: want %s", tt.header, err, tt.want)
		}
	}
}

// Which format a log is in can be seen, even where its first line was cut off
// when the log was turned over.
func TestDetect(t *testing.T) {
	t.Parallel()
	const common, json = `192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 -` + "\n", `{"ts":1,"request":{"client_ip":"192.0.2.1"}}` + "\n"
	for text, want := range map[string]string{
		common:                          "combined",
		":03 +0000] \"GET /\n" + common: "combined",
		strings.Repeat(common, 2000):    "combined",
		json:                            "caddy",
		"ip\":\"192.0.2.1\"}}\n" + json: "caddy",
		`{"ts":1,"msg":"up"}` + "\n":    "caddy",
		"time,ip\n1431857103,192.0.2.1": "csv",
		"one\ntwo\n":                    "",
		"":                              "",
	} {
		if got := detect(bufio.NewReaderSize(strings.NewReader(text), maxLine), Columns{}); got != want {
			t.Errorf("%.60q is %q: want %q", text, got, want)
		}
	}
}
