package replay

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-0c889b51/weir/internal/nearest"
)

// Columns says which columns of a CSV file mean what, by their names in its
// header. Case does not matter. An empty name is one of those that are usual,
// if there is such a column.
type Columns struct {
	Time, Client, User, Path string
}

// usual are names of columns, the likeliest first.
var usual = [...][]string{
	{"time", "timestamp", "ts", "@timestamp", "datetime", "date", "time_local", "time_iso8601", "start_time"},
	{"client", "client_ip", "clientip", "ip", "remote_addr", "remote_ip", "addr", "address", "source_ip", "src_ip", "c-ip", "host"},
	{"user", "username", "user_id", "remote_user", "login", "account"},
	{"path", "uri", "url", "request_uri", "target", "request_path"},
}

// What the columns are called in [Columns] and in messages.
var columnNames = [...]string{"time", "client", "user", "path"}

var (
	errColumns = errors.New("it has fewer columns than the header")
	errQuote   = errors.New("a column begins with a quotation mark that is not closed on the line")
)

// A csv reads lines of columns (RFC 4180). A quoted column ends on its line.
type csv struct {
	clock commonClock
	comma byte
	at    [len(columnNames)]int // numbers of the columns, -1 if there is none
	last  int                   // the highest of them
	text  []byte                // of columns that had quotes in them
}

// newCSV reads the header.
func newCSV(header []byte, columns Columns) (*csv, error) {
	header = bytes.TrimPrefix(header, []byte("\ufeff"))
	p := &csv{comma: commaOf(header)}
	var names []string
	for rest, more := header, true; more; {
		var name []byte
		var err error
		if name, rest, more, err = p.next(rest); err != nil {
			return nil, fmt.Errorf("header: %w", err)
		}
		names = append(names, strings.ToLower(strings.TrimSpace(string(name))))
	}
	wanted := [...]string{columns.Time, columns.Client, columns.User, columns.Path}
	for i, want := range wanted {
		p.at[i] = -1
		if want != "" {
			if p.at[i] = slices.Index(names, strings.ToLower(want)); p.at[i] < 0 {
				return nil, fmt.Errorf("the header has no column %.64q for the %s%s", want, columnNames[i], nearest.Hint(want, names))
			}
		} else {
			for _, name := range usual[i] {
				if p.at[i] = slices.Index(names, name); p.at[i] >= 0 {
					break
				}
			}
		}
		if p.at[i] < 0 && i < 2 {
			return nil, fmt.Errorf("the header has no column that is called like one of the %s (%s and others)",
				columnNames[i], strings.Join(usual[i][:3], ", "))
		}
		p.last = max(p.last, p.at[i])
	}
	return p, nil
}

// commaOf returns what is between the columns: the first of the usual ones that
// is not in quotes.
func commaOf(header []byte) byte {
	quoted := false
	for _, c := range header {
		switch {
		case c == '"':
			quoted = !quoted
		case !quoted && (c == ',' || c == ';' || c == '\t'):
			return c
		}
	}
	return ','
}

// next cuts the first column off a line.
func (p *csv) next(line []byte) (column, rest []byte, more bool, err error) {
	if len(line) == 0 || line[0] != '"' {
		if end := bytes.IndexByte(line, p.comma); end >= 0 {
			return line[:end], line[end+1:], true, nil
		}
		return line, nil, false, nil
	}
	start, from := len(p.text), line[1:]
	doubled := false
	for {
		end := bytes.IndexByte(from, '"')
		if end < 0 {
			return nil, nil, false, errQuote
		}
		column, from = from[:end], from[end+1:]
		if len(from) == 0 || from[0] != '"' {
			break
		}
		doubled = true
		p.text = append(append(p.text, column...), '"')
		from = from[1:]
	}
	if doubled {
		p.text = append(p.text, column...)
		column = p.text[start:]
	}
	switch {
	case len(from) == 0:
		return column, nil, false, nil
	case from[0] != p.comma:
		return nil, nil, false, errQuote
	}
	return column, from[1:], true, nil
}

func (p *csv) parse(line []byte, r *record) error {
	p.text = p.text[:0]
	var columns [len(columnNames)][]byte
	rest, more := line, true
	for n := 0; n <= p.last; n++ {
		if !more {
			return errColumns
		}
		var column []byte
		var err error
		if column, rest, more, err = p.next(rest); err != nil {
			return err
		}
		for i, at := range p.at {
			if at == n {
				columns[i] = bytes.TrimSpace(column)
			}
		}
	}
	var err error
	if r.at, err = readTime(columns[0], &p.clock); err != nil {
		return err
	}
	if r.client, r.user, r.path = columns[1], columns[2], columns[3]; missing(r.client) {
		return errNoClient
	}
	if missing(r.user) {
		r.user = nil
	}
	return nil
}
