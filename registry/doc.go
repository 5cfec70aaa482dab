// Package registry keeps many token buckets, one for each key, in bounded
// memory, and never forgets what a key owes.
//
// Keys are in shards, chosen by a seeded hash, each under a lock of its own. A
// decision is one critical section: find the bucket, read the clock, take,
// count. A hit allocates nothing. A key is found by a table of hashes, and its
// bucket is a [bucket.Level], 16 bytes.
//
// When a shard is full another key goes. Keys that have come once go in the
// order in which they came; those that came again are kept by how lately they
// were used, in a simplelru of golang-lru, and outlive a flood of the former.
// If the bucket of a key that goes is full that is free of consequences, since
// a full bucket and no bucket are the same thing. If not, its debt, which is
// the time until it is full again, goes into the debt table: 16 bytes a slot,
// the smallest debt giving way to a larger one. A key that is not in its shard
// is looked up there before it gets a full bucket. What even the debt table had
// to drop is counted in [Stats].
//
// A [Group] asks several registries as one, all or nothing.
//
// For snapshots, [Registry.Changed] and [Registry.All] walk the debts with
// short lock holds, and [Registry.Restore] puts one back: it waits in the debt
// table until its key comes again.
package registry
