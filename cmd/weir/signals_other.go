//go:build !unix

package main

import (
	"os"
	"syscall"
)

// stopSignals returns the signals that end the process in order. On Windows
// SIGTERM stands for a console that is closed.
func stopSignals() []os.Signal { return []os.Signal{os.Interrupt, syscall.SIGTERM} }
