package adminview

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"
)

const (
	// The other screen, no cursor, and no line that goes on in the next one.
	enter = "\x1b[?1049h\x1b[?25l\x1b[?7l"
	leave = "\x1b[?7h\x1b[?25h\x1b[?1049l"
	// What is between these is shown at once.
	begin, end = "\x1b[?2026h", "\x1b[?2026l"

	resizeEvery = 150 * time.Millisecond
)

// A Screen is a terminal that is drawn on again and again.
type Screen struct {
	Out *os.File
	// In is the terminal's keyboard; q and Ctrl-C end Show. Nil is none.
	In *os.File
}

// Show draws the view that draw returns, each time that changed has something,
// once a second, and when the size changes. It returns when somebody quits or
// ctx ends, with the terminal as it was.
func (s Screen) Show(ctx context.Context, changed <-chan struct{}, draw func(width, height int) []string) (err error) {
	var pressed chan byte
	if s.In != nil && term.IsTerminal(int(s.In.Fd())) {
		before, err := term.MakeRaw(int(s.In.Fd()))
		if err != nil {
			return fmt.Errorf("the terminal: %w", err)
		}
		defer term.Restore(int(s.In.Fd()), before)
		pressed = make(chan byte)
		done := make(chan struct{})
		defer close(done)
		go listen(s.In, pressed, done)
	}
	if _, err := io.WriteString(s.Out, enter); err != nil {
		return err
	}
	defer func() {
		if _, failed := io.WriteString(s.Out, leave); err == nil {
			err = failed
		}
	}()
	size, second := time.NewTicker(resizeEvery), time.NewTicker(time.Second)
	defer size.Stop()
	defer second.Stop()
	var p pad
	for {
		width, height, err := term.GetSize(int(s.Out.Fd()))
		if err != nil || width < 1 || height < 1 {
			width, height = 80, 24
		}
		if _, err := s.Out.Write(p.frame(width, height, draw)); err != nil {
			return err
		}
		for again := false; !again; {
			select {
			case <-ctx.Done():
				return nil
			case key := <-pressed:
				if strings.IndexByte("qQ\x03\x04", key) >= 0 {
					return nil
				}
			case <-changed:
				again = true
			case <-second.C:
				again = true
			case <-size.C:
				w, h, err := term.GetSize(int(s.Out.Fd()))
				again = err == nil && (w != width || h != height)
			}
		}
	}
}

// listen passes on what is typed. It ends with the process if nothing more is.
func listen(in io.Reader, pressed chan<- byte, done <-chan struct{}) {
	key := make([]byte, 1)
	for {
		if n, err := in.Read(key); err != nil || n == 0 {
			return
		}
		select {
		case pressed <- key[0]:
		case <-done:
			return
		}
	}
}

// A pad remembers what is on a screen, so that only what is new is written.
type pad struct {
	width, height int
	lines         []string
}

// frame returns what is to be written so that the screen shows a drawing.
func (p *pad) frame(width, height int, draw func(width, height int) []string) []byte {
	lines := draw(width, height)
	var b strings.Builder
	b.WriteString(begin)
	if width != p.width || height != p.height {
		b.WriteString("\x1b[2J")
		p.lines = nil
	}
	for i := range max(len(lines), len(p.lines)) {
		now, before := "", ""
		if i < len(lines) {
			now = lines[i]
		}
		if i < len(p.lines) {
			before = p.lines[i]
		}
		if now != before {
			fmt.Fprintf(&b, "\x1b[%d;1H\x1b[K%s", i+1, now)
		}
	}
	b.WriteString(end)
	p.width, p.height, p.lines = width, height, slices.Clone(lines)
	return []byte(b.String())
}
