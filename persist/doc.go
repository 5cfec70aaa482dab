// Package persist keeps the debts of token buckets in a file, so that a limit
// survives a restart, a crash and a clock that is wrong.
//
// A [File] is read once, when it is opened. [File.Load] hands out what it
// held, and from then on it is only written: [File.Save] appends a snapshot of
// what has changed, and now and then replaces everything with one that is
// full. No decision ever waits for it; whoever owns it saves in the background.
//
// # What is stored
//
// A bucket is one number, the time at which it is full again, under a keyed
// hash of its key. Keys themselves are never written; names of policies and
// their limits are. Debts are rounded up, by at most a four-billionth of the
// largest debt saved with them: nothing is forgiven.
//
// # Layout
//
// The file is a bbolt database. Each transaction appends one segment: a bucket
// of chunks, each up to 30 kB of 12-byte records with a checksum. A segment is
// dropped when the last of its debts is over, and all of them when a full
// snapshot has been written. A digest over all live chunks and policies is
// part of every transaction, so that a chunk that is missing is noticed as well
// as one that has changed. So is the number of the transaction, which is in the
// root of the database as well: on a disk that does not wait for what it is told
// to write first, a new root may lead to pages of an older snapshot, whole as
// they are. Nothing but this package may write to the file, then, not even a
// tool that copies a bbolt database as it is.
//
// # Time
//
// No wall clock is trusted to place a debt. Stored times lie on a timeline of
// the file's own, which never runs faster than true time: while the process
// runs it follows the monotonic clock, and across a restart it is credited with
// what is certain. Within one boot of the machine that is exact. After a reboot
// it is the difference of wall times if the clock was synchronised (NTP) when
// last seen so and is now, and otherwise the time since the boot; should the
// clock be synchronised later, the rest is credited then ([Saved.Credit]). Where
// the system tells no boot from another (all but Linux), it is the difference of
// wall times, at least 0 and at most 24 hours. Time in which nothing was saved
// counts as time away; only after a crash, a reboot and without a clock can it be
// lost, and debts then last that much longer. However wrong a clock, a restored
// bucket is never further from full than one refill of its limit.
//
// # Damage
//
// A file is checked whole before bbolt sees it. One that is damaged is
// moved aside, never overwritten and never half believed; the limits start
// afresh and [Restored] says so. A file that is of something else, or of a
// newer version, is not touched.
package persist
