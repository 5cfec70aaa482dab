package persist

import (
	"bufio"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/seed-0c889b51/weir/bucket"
)

const (
	exportFormat  = "weir-state"
	exportVersion = 1
)

// An exportHeader is the first line of an export.
type exportHeader struct {
	Format       string         `json:"format"`
	Version      int            `json:"version"`
	ExportedAt   time.Time      `json:"exported_at"` // by the wall clock
	Synchronised bool           `json:"synchronised"`
	BootID       string         `json:"boot_id,omitempty"`
	BootNS       int64          `json:"boot_ns,omitempty"` // how long after that boot
	SecretID     string         `json:"secret_id"`
	Policies     []exportPolicy `json:"policies"`
	Records      int            `json:"records"` // lines that follow
}

type exportPolicy struct {
	Name  string       `json:"name"`
	Limit bucket.Limit `json:"limit"`
}

// An exportRecord is each line after the first.
type exportRecord struct {
	Policy   string   `json:"policy"`
	Hash     *hexHash `json:"hash"`
	FullInNS *int64   `json:"full_in_ns"` // after the export
}

// A hexHash is a hash as 16 hexadecimal digits: as a number, many readers of
// JSON would round it.
type hexHash uint64

// MarshalText returns the 16 digits.
func (h hexHash) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%016x", uint64(h)), nil }

// UnmarshalText reads 16 digits.
func (h *hexHash) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 16, 64)
	if err != nil || len(text) != 16 {
		return fmt.Errorf("hash %.80q: want 16 hexadecimal digits", text)
	}
	*h = hexHash(n)
	return nil
}

// Export writes the policies and the live records of the copy as JSON Lines,
// for [Import]: a header, and then a line for each record, in the order of
// policies and hashes. It holds neither a key nor the secret, without which the
// hashes mean nothing. Nothing is written if not all can be: an error is one of
// w's unless the file holds chunks that only a newer version can read, or
// names that are not UTF-8, or was made and never used.
func (c *Copy) Export(w io.Writer) error {
	if err := c.export(w); err != nil {
		return fmt.Errorf("persist: exporting %s: %w", c.info.Path, err)
	}
	return nil
}

func (c *Copy) export(w io.Writer) error {
	if c.info.SecretID == nil {
		return errors.New("nothing has been saved to it yet")
	}
	if n := c.info.Restored.Skipped; n > 0 {
		return fmt.Errorf("%d chunks are of a newer version: update", n)
	}
	h := exportHeader{
		Format: exportFormat, Version: exportVersion,
		ExportedAt: time.Unix(0, c.taken.wall).UTC(), Synchronised: c.taken.synced,
		SecretID: hex.EncodeToString(c.info.SecretID), Policies: []exportPolicy{},
	}
	if c.taken.bootID != [16]byte{} {
		h.BootID, h.BootNS = hex.EncodeToString(c.taken.bootID[:]), c.taken.boot
	}
	for _, p := range c.info.Policies {
		if !utf8.ValidString(p.Name) {
			return fmt.Errorf("name of policy %.80q is not UTF-8, and JSON cannot hold it", p.Name)
		}
		h.Policies = append(h.Policies, exportPolicy{p.Name, p.Limit})
	}
	held := map[string][]record{}
	h.Records = c.load(func(policy string, hash uint64, debt time.Duration) {
		held[policy] = append(held[policy], record{hash, debt})
	}).Records
	buffered := bufio.NewWriterSize(w, 1<<16)
	lines := json.NewEncoder(buffered)
	if err := lines.Encode(h); err != nil {
		return err
	}
	for _, p := range h.Policies {
		records := held[p.Name]
		slices.SortFunc(records, func(a, b record) int { return cmp.Compare(a.hash, b.hash) })
		for _, r := range records {
			hash, debt := hexHash(r.hash), int64(r.debt)
			if err := lines.Encode(exportRecord{p.Name, &hash, &debt}); err != nil {
				return err
			}
		}
	}
	return buffered.Flush()
}
