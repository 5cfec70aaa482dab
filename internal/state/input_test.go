package state_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/seed-0c889b51/weir/internal/state"
)

func TestConfirm(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		answer string
		yes    bool
	}{
		{"yes\n", true}, {"y\n", true}, {"YES\r\n", true}, {" yes \nno\n", true}, {"yes", true},
		{"", false}, {"\n", false}, {"no\n", false}, {"yess\n", false}, {"ja\n", false}, {strings.Repeat(" ", 2000) + "yes\n", false},
	} {
		var asked strings.Builder
		err := state.Confirm(t.Context(), strings.NewReader(tt.answer), &asked, "all of it?")
		if tt.yes != (err == nil) || !tt.yes && !errors.Is(err, state.ErrNotConfirmed) || asked.String() != "all of it? [yes/no] " {
			t.Errorf("%.20q: %v, asked %q", tt.answer, err, asked.String())
		}
	}
	if err := state.Confirm(t.Context(), strings.NewReader("yes\n"), full{}, "?"); err == nil || errors.Is(err, state.ErrNotConfirmed) {
		t.Errorf("who could not be asked has not said yes: %v", err)
	}
}

// A read that waits for input ends with the context.
func TestInterruptible(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		ctx, cancel := context.WithCancel(t.Context())
		in := state.Interruptible(ctx, r)
		go fmt.Fprint(w, "some")
		b := make([]byte, 10)
		if n, err := in.Read(b); err != nil || string(b[:n]) != "some" {
			t.Errorf("read %q, %v", b[:n], err)
		}
		done := make(chan error)
		go func() {
			_, err := in.Read(b)
			done <- err
		}()
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("there was nothing to read: %v", err)
		default:
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("after the end: %v", err)
		}
		w.Close()
	})
	for _, text := range []string{"", "a", strings.Repeat("abc", 100_000)} {
		if got, err := io.ReadAll(state.Interruptible(t.Context(), strings.NewReader(text))); err != nil || string(got) != text {
			t.Errorf("%d bytes became %d, %v", len(text), len(got), err)
		}
	}
}

func ExampleConfirm() {
	var asked strings.Builder
	err := state.Confirm(context.Background(), strings.NewReader("no\n"), &asked, "Forget everything?")
	fmt.Printf("%q\n%v\n", asked.String(), err)
	// Output:
	// "Forget everything? [yes/no] "
	// not confirmed: nothing was done
}
