// Package bucket is one token bucket: what a limit is, what a decision is, and
// a [Bucket] that decides.
//
// A bucket holds up to Burst tokens and is refilled all the time, Quota tokens
// every Window. A request takes n tokens or, if they are not all there, none.
//
// The tokens are kept by [golang.org/x/time/rate.Limiter], which is the
// authority on them. This package adds what a limit needs in order to be
// relied on: time that never runs backwards within a bucket, rejection of
// numbers that would switch a limiter off, an answer that says when to come
// back, and state that can be taken out and put back exactly.
//
// Who keeps many buckets keeps each as a [Level], 16 bytes, and decides on it by
// a [Rule]: the same answers to the last bit, for a quarter of the time. For all
// else a Level becomes a Bucket, and back.
//
// It knows nothing of keys, files or HTTP. Its methods are the only ones in
// this module that are given the time; everything built on it reads the clock.
package bucket
