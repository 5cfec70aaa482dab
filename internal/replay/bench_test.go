package replay

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"
)

// benchLog is a log of so many lines, of clients of which few send most.
func benchLog(format string, lines int) []byte {
	random := rand.New(rand.NewPCG(7, 8))
	clients := rand.NewZipf(random, 1.2, 10, 99_999)
	var out bytes.Buffer
	if format == "csv" {
		out.WriteString("ts,client_ip,method,path,status\n")
	}
	at := time.Date(2015, 5, 17, 10, 0, 0, 0, time.UTC)
	for i := range lines {
		at = at.Add(time.Duration(random.IntN(10)) * time.Millisecond)
		c := clients.Uint64()
		ip := fmt.Sprintf("10.%d.%d.%d", c>>16, c>>8&255, c&255)
		switch format {
		case "combined":
			fmt.Fprintf(&out, "%s - - [%s] \"GET /presentations/logstash-%d/images/kibana.png HTTP/1.1\" 200 %d \"http://example.com/presentations/\" \"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_9_1) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/32.0.1700.77 Safari/537.36\"\n",
				ip, at.Format("02/Jan/2006:15:04:05 -0700"), i%97, 200+i%5000)
		case "caddy":
			fmt.Fprintf(&out, `{"level":"info","ts":%.7f,"logger":"http.log.access","msg":"handled request","request":{"remote_ip":"%s","remote_port":"41342","client_ip":"%s","proto":"HTTP/2.0","method":"GET","host":"localhost","uri":"/a/%d","headers":{"User-Agent":["curl/7.82.0"],"Accept":["*/*"]}},"bytes_read":0,"user_id":"","duration":0.000929675,"size":10900,"status":200,"resp_headers":{"Server":["Caddy"],"Content-Type":["text/html; charset=utf-8"]}}`+"\n",
				float64(at.UnixNano())/1e9, ip, ip, i%97)
		case "csv":
			fmt.Fprintf(&out, "%d.%03d,%s,GET,/a/%d,200\n", at.Unix(), at.Nanosecond()/1e6, ip, i%97)
		}
	}
	return out.Bytes()
}

// BenchmarkReplay tells what a line costs; floor is that of finding where lines
// end and no more.
func BenchmarkReplay(b *testing.B) {
	const lines = 200_000
	for _, format := range []string{"combined", "caddy", "csv"} {
		log := benchLog(format, lines)
		perLine := func(b *testing.B) {
			b.ReportMetric(float64(lines)*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mlines/s")
			b.ReportMetric(b.Elapsed().Seconds()*1e9/float64(lines)/float64(b.N), "ns/line")
		}
		b.Run(format+"/floor", func(b *testing.B) {
			for b.Loop() {
				in := bufio.NewReaderSize(bytes.NewReader(log), maxLine)
				n := 0
				for {
					if _, err := in.ReadSlice('\n'); err == io.EOF {
						break
					}
					n++
				}
			}
			perLine(b)
		})
		for _, limits := range [][]string{{"ip 100/min"}, {"ip 100/min", "user 1000/day", "path 100/s"}} {
			b.Run(fmt.Sprintf("%s/limits=%d", format, len(limits)), func(b *testing.B) {
				policies := parsePolicies(b, limits...)
				for b.Loop() {
					r, err := Run(b.Context(), Config{Limits: policies}, Source{"log", bytes.NewReader(log)})
					if err != nil || r.Lines.Requests != lines {
						b.Fatal(err, r.Lines)
					}
				}
				perLine(b)
			})
		}
	}
}
