package persist

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

func init() { jobs["naive"] = naiveJob }

// naive has bbolt alone read files, in processes of its own, and returns of how
// many it makes something that is neither before nor after, and at how many it
// faults or ends the process.
func (d *disk) naive(t *testing.T, files [][]byte) (wrong, deaths int) {
	t.Helper()
	dir := t.TempDir()
	right := map[string]bool{}
	all := files
	for _, b := range [][]byte{d.old, d.new} {
		if len(b) > 0 {
			all = append([][]byte{b}, all...)
		}
	}
	good := len(all) - len(files)
	for i, b := range all {
		writeFile(t, filepath.Join(dir, strconv.Itoa(i)), b)
	}
	for next := 0; next < len(all); {
		cmd := child(t, "naive", fmt.Sprintf("%d:%d:%s", next, len(all), dir))
		out, err := cmd.Output()
		lines := bufio.NewScanner(bytes.NewReader(out))
		for lines.Scan() {
			switch digest := lines.Text(); {
			case next < good:
				right[digest] = true
			case digest == "fault":
				deaths++
			case !right[digest]:
				wrong++
			}
			next++
		}
		if err != nil { // it ended at this one
			if next < good {
				t.Fatalf("bbolt cannot read the file before or after: %v", err)
			}
			deaths++
			next++
		}
	}
	return wrong, deaths
}

// naiveJob prints a digest of what bbolt makes of each file.
func naiveJob(args string) int {
	first, args, _ := strings.Cut(args, ":")
	count, dir, _ := strings.Cut(args, ":")
	from, _ := strconv.Atoi(first)
	to, _ := strconv.Atoi(count)
	debug.SetMaxStack(16 << 20) // a loop of pages is walked until the stack is full
	for i := from; i < to; i++ {
		// A reader that hangs is as wrong as one that dies.
		watch := time.AfterFunc(300*time.Millisecond, func() { os.Exit(3) })
		fmt.Println(naiveDigest(filepath.Join(dir, strconv.Itoa(i))))
		watch.Stop()
	}
	return 0
}

func naiveDigest(path string) (digest string) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() != nil {
			digest = "fault"
		}
	}()
	h := sha256.New()
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		return "error"
	}
	err = db.View(func(tx *bolt.Tx) error {
		var walk func(b *bolt.Bucket) error
		walk = func(b *bolt.Bucket) error {
			return b.ForEach(func(k, v []byte) error {
				fmt.Fprintf(h, "%x=%x;", k, v)
				if v == nil {
					fmt.Fprint(h, "{")
					defer fmt.Fprint(h, "}")
					return walk(b.Bucket(k))
				}
				return nil
			})
		}
		return tx.ForEach(func(name []byte, b *bolt.Bucket) error {
			fmt.Fprintf(h, "%x{", name)
			return walk(b)
		})
	})
	if err != nil {
		return "error"
	}
	_ = db.Close()
	return fmt.Sprintf("%x", h.Sum(nil))
}
