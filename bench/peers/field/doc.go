// Package field has the rate limiters of the field behind one function each, so
// that all can be asked the same: those of libraries by key, single buckets
// behind the maps that their users put them behind, and weir's. It measures what
// a decision of each costs, what memory a key takes, and what each admits beside
// the exact answer. The command cmd/field prints all of it.
package field
