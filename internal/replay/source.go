package replay

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/seed-0c889b51/weir/internal/nearest"
)

// A Source is a log: a file or a stream.
type Source struct {
	Name   string
	Reader io.Reader
}

// Formats are the names of the formats that logs are read in. Auto looks which
// it is; combined is also the common format, and that of nginx.
var Formats = []string{"auto", "combined", "caddy", "csv"}

// Sizes: of a line at most, and of what a file is read in.
const (
	maxLine   = 1 << 20
	peekBytes = 1 << 16
)

// A meter counts the bytes that are read, for those who look on.
type meter struct {
	r io.Reader
	n int64
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	m.n += int64(n)
	return n, err
}

// open returns the lines of a source, unpacked if it is packed by gzip.
func open(m *meter) (*bufio.Reader, error) {
	in := bufio.NewReaderSize(m, maxLine)
	if magic, err := in.Peek(2); err != nil || magic[0] != 0x1f || magic[1] != 0x8b {
		return in, nil // an error comes again when it is read
	}
	unpacked, err := gzip.NewReader(in)
	if err != nil {
		return nil, fmt.Errorf("unpacking it: %w", err)
	}
	return bufio.NewReaderSize(unpacked, maxLine), nil
}

// parserOf returns the parser for a source, and the name of its format. The
// header of CSV is read.
func parserOf(format string, columns Columns, in *bufio.Reader) (parser, string, error) {
	if format == "auto" || format == "" {
		format = detect(in, columns)
	}
	switch format {
	case "combined":
		return (&combined{}).parse, format, nil
	case "caddy":
		return (&caddy{}).parse, format, nil
	case "csv":
		header, err := in.ReadSlice('\n')
		if err != nil && (!errors.Is(err, io.EOF) || len(header) == 0) {
			if errors.Is(err, bufio.ErrBufferFull) {
				err = errLong
			}
			return nil, format, fmt.Errorf("the header: %w", err)
		}
		p, err := newCSV(trimEnd(header), columns)
		if err != nil {
			return nil, format, err
		}
		return p.parse, format, nil
	case "":
		return nil, "", errors.New("it is in no format that can be told: want --format combined, caddy or csv")
	}
	return nil, "", fmt.Errorf("format %.64q: want %s%s", format, strings.Join(Formats, ", "), nearest.Hint(format, Formats))
}

// detect returns the format that most of the first lines are in, "" if none is.
func detect(in *bufio.Reader, columns Columns) string {
	head, _ := in.Peek(peekBytes)
	if len(head) == peekBytes {
		if end := bytes.LastIndexByte(head, '\n'); end >= 0 {
			head = head[:end]
		}
	}
	common, json := &combined{}, &caddy{}
	commons, jsons := 0, 0
	var r record
	first, _, _ := bytes.Cut(head, []byte("\n"))
	for line := range bytes.SplitSeq(head, []byte("\n")) {
		line = trimEnd(line)
		if common.parse(line, &r) == nil {
			commons++
		}
		if err := json.parse(line, &r); err == nil || errors.Is(err, errNoRequest) {
			jsons++
		}
	}
	switch {
	case jsons > commons:
		return "caddy"
	case commons > 0:
		return "combined"
	}
	if _, err := newCSV(trimEnd(first), columns); err == nil {
		return "csv"
	}
	return ""
}

// trimEnd returns a line without its end.
func trimEnd(line []byte) []byte {
	if n := len(line); n > 0 && line[n-1] == '\n' {
		line = line[:n-1]
	}
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	return line
}

// nextLine returns the next line without its end. Of one that is too long it
// returns errLong, and the one after that comes next.
func nextLine(in *bufio.Reader) ([]byte, error) {
	line, err := in.ReadSlice('\n')
	if err == nil {
		return trimEnd(line), nil
	}
	if errors.Is(err, bufio.ErrBufferFull) {
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = in.ReadSlice('\n')
		}
		if err == nil || errors.Is(err, io.EOF) {
			return nil, errLong
		}
		return nil, err
	}
	if errors.Is(err, io.EOF) && len(line) > 0 { // the last has no end
		return trimEnd(line), nil
	}
	return nil, err
}
