package persist_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/persist"
)

// exampleFile makes a state file with one debt in a directory of its own.
func exampleFile() (path string, remove func()) {
	dir, err := os.MkdirTemp("", "weir")
	if err != nil {
		log.Fatal(err)
	}
	path = filepath.Join(dir, "weir.db")
	f, err := persist.Open(path, persist.Config{})
	if err != nil {
		log.Fatal(err)
	}
	_, err = f.Save(persist.Snapshot{Final: true, Sections: []persist.Section{{
		Policy: "ip", Limit: bucket.PerDay(100),
		Records: func(yield func(uint64, time.Duration) bool) { yield(42, time.Hour) },
	}}})
	if err != nil {
		log.Fatal(err)
	}
	if err := f.Close(); err != nil {
		log.Fatal(err)
	}
	return path, func() { os.RemoveAll(dir) }
}

func ExampleRead() {
	path, remove := exampleFile()
	defer remove()
	c, err := persist.Read(path, persist.Config{})
	if err != nil {
		log.Fatal(err)
	}
	for _, p := range c.Info().Policies {
		fmt.Printf("%s %s: %d live, %v at most\n", p.Name, p.Limit, p.Live, p.Longest.Round(time.Minute))
	}
	// Output: ip 100/day: 1 live, 1h0m0s at most
}

func ExampleCopy_Export() {
	path, remove := exampleFile()
	defer remove()
	c, err := persist.Read(path, persist.Config{})
	if err != nil {
		log.Fatal(err)
	}
	var lines strings.Builder
	if err := c.Export(&lines); err != nil {
		log.Fatal(err)
	}
	done, err := persist.Import(path, persist.Config{}, strings.NewReader(lines.String()))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(done.Records, "read,", done.Raised, "longer than what was there")
	// Output: 1 read, 0 longer than what was there
}

func ExampleCompact() {
	path, remove := exampleFile()
	defer remove()
	before, after, err := persist.Compact(path, persist.Config{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(after <= before)
	// Output: true
}

func ExamplePurge() {
	path, remove := exampleFile()
	defer remove()
	done, err := persist.Purge(path, persist.Config{}, false)
	if err != nil {
		log.Fatal(err)
	}
	for _, name := range done.Removed {
		fmt.Println(filepath.Base(name))
	}
	// Output:
	// weir.db
	// weir.db.key
}
