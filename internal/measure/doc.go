// Package measure measures rate limiters side by side: the same keys in the same
// order under the same limits, in rounds in which all of them take turns.
//
// Its rules are those of somebody who does not believe a benchmark. A key that
// is asked for is never the string that the limiter was first given, so it has
// to be compared by its bytes. Every answer is checked. A limiter that is to
// deny has used its limit up before the clock runs, and one that is to allow has
// a limit of the usual form that it does not reach. Each round has limiters that
// are made anew, and another one first. A subject that does nothing shows what
// the harness takes itself. Ratios are medians of those of single rounds, so
// that what slows the machine for a while is in both sides.
package measure
