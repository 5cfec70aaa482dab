package state

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/seed-0c889b51/weir/internal/oneline"
	"github.com/seed-0c889b51/weir/persist"
)

// A Verdict says whether a file is sound.
type Verdict struct {
	OK bool `json:"ok"`
	// Problem says what is wrong, and where. It is empty if nothing is.
	Problem string `json:"problem,omitempty"`
	// InUse tells that the file was in use, and that a copy of it was checked.
	InUse bool `json:"in_use"`
	// Notes are what is not wrong with the file and good to know all the same.
	Notes []string `json:"notes,omitempty"`
	// What was checked.
	Pages     int `json:"pages"`
	FreePages int `json:"free_pages"`
	Segments  int `json:"segments"`
	Chunks    int `json:"chunks"`
	Records   int `json:"records"`
}

// Check reads and checks the file at path and writes a Verdict as JSON. It is
// what the child process of Verify does. cfg is for [persist.Read].
func Check(w io.Writer, path string, cfg persist.Config) error {
	var v Verdict
	c, err := persist.Read(path, cfg)
	if err != nil {
		v.Problem = Problem(err)
		return json.NewEncoder(w).Encode(v)
	}
	info := c.Info()
	v = Verdict{
		OK: true, InUse: info.InUse,
		Pages: info.Pages, FreePages: info.FreePages, Segments: info.Segments, Chunks: info.Chunks, Records: info.Records,
	}
	if info.Restored.FellBack {
		v.Notes = append(v.Notes, "one of the two roots of the file is damaged: the last save was cut off or is lost")
	}
	if n := info.Restored.Skipped; n > 0 {
		v.Notes = append(v.Notes, count(n, "chunk is", "chunks are")+" of a newer version: only the checksum was checked")
	}
	if info.SecretError != nil {
		v.Notes = append(v.Notes, secretProblem(info.SecretError))
	}
	return json.NewEncoder(w).Encode(v)
}

// Problem returns the text of an error of package persist without the name of
// the package, which says nothing to who reads it, and with the way out if there
// is no file. Errors that were joined are told one after another, not each on a
// line of its own.
func Problem(err error) string {
	text := strings.TrimPrefix(err.Error(), "persist: ")
	for e := err; e != nil; e = errors.Unwrap(e) {
		if all, ok := e.(interface{ Unwrap() []error }); ok {
			var texts []string
			for _, one := range all.Unwrap() {
				texts = append(texts, one.Error())
			}
			text = strings.Replace(text, strings.Join(texts, "\n"), strings.Join(texts, "; "), 1)
		}
	}
	if errors.Is(err, fs.ErrNotExist) && !errors.Is(err, persist.ErrDamaged) {
		text += ": name the file with --state FILE"
	}
	return text
}

const (
	maxVerdict = 1 << 20 // bytes that the child may write
	maxTrace   = 1 << 16
	// checkTime is how long the child may take: a file of 1 GiB takes seconds.
	checkTime = 10 * time.Minute
)

// Verify has a child process check the file at path, so that whatever the file
// holds, only the child can come to harm. command is the program and its
// arguments that make it run [Check] for the file. A child that dies, hangs for
// ten minutes or says what nobody understands means that the file is not sound.
// The error is about the child that could not be run, or wraps that of ctx.
func Verify(ctx context.Context, path string, command ...string) (Verdict, error) {
	return verify(ctx, checkTime, path, command)
}

func verify(ctx context.Context, patience time.Duration, path string, command []string) (Verdict, error) {
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	child := exec.CommandContext(limited, command[0], command[1:]...)
	said, trace := &head{most: maxVerdict}, &head{most: maxTrace}
	child.Stdout, child.Stderr = said, trace
	child.Env = append(os.Environ(), "GOTRACEBACK=none")
	child.WaitDelay = time.Second
	err := child.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return Verdict{}, fmt.Errorf("the check was stopped: %w", ctx.Err())
	case limited.Err() != nil:
		return Verdict{Problem: fmt.Sprintf("%s cannot be checked: the process that read it hung for %v", path, patience)}, nil
	case errors.As(err, &exit):
		return Verdict{Problem: fmt.Sprintf("%s cannot be checked: the process that read it died (%v): %s", path, exit, trace.firstLine())}, nil
	case err != nil:
		return Verdict{}, fmt.Errorf("no process to check it in: %w", err)
	}
	var v Verdict
	if err := json.Unmarshal(said.bytes, &v); err != nil || v.OK == (v.Problem != "") {
		return Verdict{Problem: path + " cannot be checked: the process that read it did not finish what it had to say"}, nil
	}
	return v, nil
}

// A head keeps the beginning of what is written to it.
type head struct {
	bytes []byte
	most  int
}

func (h *head) Write(p []byte) (int, error) {
	h.bytes = append(h.bytes, p[:min(len(p), h.most-len(h.bytes))]...)
	return len(p), nil
}

// firstLine returns the first line that says anything.
func (h *head) firstLine() string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(h.bytes)), "\n")
	if line == "" {
		return "it said nothing"
	}
	return oneline.Text(line)
}
