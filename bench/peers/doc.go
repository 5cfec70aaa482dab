// Package peers measures middlewares for net/http that limit rates, weir's and
// others, side by side. It has nothing to import, and is a module of its own so
// that nobody who imports weir has the others in go.sum. README.md says what is
// compared and what came out; limiters without HTTP are in package field.
//
//	go test -run TestTable$ -v -rounds 9
//
// The other tests are about the harness: that each peer is asked what it is said
// to be asked, and answers so.
package peers
