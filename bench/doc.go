// Package bench measures weir from outside, over its public API. It has nothing
// to import: README.md says what each benchmark means, how to run it, and what it
// showed.
//
//	go test -run '^$' -bench '^BenchmarkDecision$' -cpu 1,2 ./bench
//
// The ordinary tests of the package test the harness: that what it measures
// really happens.
package bench
