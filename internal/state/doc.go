// Package state is what weir state says of a state file, and how it has one
// checked without trusting it.
package state
