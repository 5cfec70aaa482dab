package persist

import (
	"time"

	"github.com/seed-0c889b51/weir/bucket"
)

// An Info says what a [Copy] holds.
type Info struct {
	Path  string    // in full
	Taken time.Time // when the copy was, by the wall clock
	// InUse tells that this or another process has the file open. Clean is
	// then false, and more may have been spent than the file says.
	InUse bool

	Size      int64 // of the file, in bytes
	PageSize  int   // in bytes
	Pages     int   // up to the last one in use
	FreePages int   // of them

	// Writer is the version of the format that the file is in, and
	// OldestReader that which a reader has to know at least.
	Writer, OldestReader int

	// Segments, Chunks and Records are what is stored, records that later
	// ones have replaced and debts that are over included.
	Segments, Chunks, Records int
	// Policies are in the order of their names.
	Policies []PolicyInfo

	// Stamp is when the file was last written.
	Stamp Stamp
	// Restored is what a [File] would bring back now.
	Restored Restored

	// SecretID tells the secret of the file from others, and nothing about
	// it. It is nil if the file was made and never used: [Open] writes it
	// when it begins a run.
	SecretID []byte
	// SecretError is why the secret of the file cannot be had from where
	// [Open] would look for it: the file would be moved aside, or not opened.
	SecretError error
}

// A PolicyInfo says what a file holds of one policy.
type PolicyInfo struct {
	Name  string
	Limit bucket.Limit // when last saved
	// Live is how many buckets are in debt, and Longest how long it is until
	// all of them are full.
	Live    int
	Longest time.Duration
	// Saved is how long ago the latest record was, as far as is certain. It
	// is 0 if there is none.
	Saved time.Duration
}

// A Stamp is a moment as a file knows it.
type Stamp struct {
	// Timeline is the time on the timeline of the file's own.
	Timeline time.Duration
	// Wall is the time of the wall clock, whether right or not.
	Wall time.Time
	// Boot is how long after the boot BootID it was. BootID is zero where the
	// system does not tell one boot from another.
	Boot   time.Duration
	BootID [16]byte
	// Synchronised is when, by the wall clock, it was last synchronised.
	// It is the zero time if it never was.
	Synchronised time.Time
}

// describe returns s as others are to see it.
func (s stamp) describe() Stamp {
	d := Stamp{Timeline: time.Duration(s.t), Wall: time.Unix(0, s.wall), Boot: time.Duration(s.boot), BootID: s.bootID}
	if s.anchored {
		d.Synchronised = time.Unix(0, s.anchorWall)
	}
	return d
}
