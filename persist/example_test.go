package persist_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/persist"
)

func Example() {
	dir, err := os.MkdirTemp("", "weir")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "weir.db")

	f, err := persist.Open(path, persist.Config{Interval: 10 * time.Second})
	if err != nil {
		log.Fatal(err)
	}
	_, err = f.Save(persist.Snapshot{
		At: time.Now(), Full: true, Final: true,
		Sections: []persist.Section{{
			Policy: "user",
			Limit:  bucket.PerDay(1000),
			Records: func(yield func(uint64, time.Duration) bool) {
				yield(0x1234, 6*time.Hour) // a hash keyed with f.Secret()
			},
		}},
	})
	if err != nil {
		log.Fatal(err)
	}
	f.Close()

	f, err = persist.Open(path, persist.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	restored := f.Load(
		func(policy string, saved bucket.Limit) bool { return policy == "user" },
		func(policy string, hash uint64, debt time.Duration) {
			fmt.Printf("%s %x %v\n", policy, hash, debt.Round(time.Minute))
		},
	)
	fmt.Println(restored.Records, restored.Clean)
	// Output:
	// user 1234 6h0m0s
	// 1 true
}
