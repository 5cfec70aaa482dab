//go:build unix && !linux

package main

import (
	"os"
	"testing"
	"time"
)

func terminal(t *testing.T) (keyboard, screen *os.File) {
	t.Helper()
	t.Skip("no terminal to test with")
	return nil, nil
}

// unread gives the reader of a pipe time, since how much is in it cannot be
// asked here.
func unread(*os.File) int {
	time.Sleep(time.Second)
	return 0
}
