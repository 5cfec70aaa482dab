package persist

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
)

// maxLine is how long a line of an export may be, in bytes. The header is the
// longest.
const maxLine = 16 << 20

// An Imported says what [Import] has done.
type Imported struct {
	Records  int // read
	Policies int // that they belong to
	Over     int // of the records, whose debts are over by now
	Raised   int // whose debts are longer than what the file held
	// Credit is how much time has passed since the export for certain, and
	// Clock how that is known: "same boot", "synchronised" or, if it is not,
	// "none".
	Credit time.Duration
	Clock  string
}

// Import adds to the state file at path what [Copy.Export] has written. If
// there is no file, one is made. Of two debts of one bucket the longer counts,
// and none is longer than one refill of its limit. A policy that the file knows
// keeps the file's limit, and tokens used stay used; others come with their
// own. All input is read and checked before the file is opened.
//
// The file has to have the secret that the exported one had, since hashes mean
// nothing under another: to go on elsewhere, put a copy of the file with the
// secret there first. Nobody else may have the file open. An error in the input
// names its line. A directory is refused as by [Open]. The error wraps
// [ErrLocked], [ErrDamaged], [ErrNewer] or [ErrForeign] where that is the cause.
// If writing fails, the file holds what it held, or some of the debts besides;
// Import can be called again.
func Import(path string, cfg Config, r io.Reader) (Imported, error) {
	return importInto(path, cfg, r, readClocks)
}

// importInto is Import with the clocks to read.
func importInto(path string, cfg Config, r io.Reader, clocks func() reading) (Imported, error) {
	f, err := claim(path, cfg, clocks, resolve)
	if err != nil {
		return Imported{}, err
	}
	defer f.unlock()
	var done Imported
	if err = f.checkDir(); err == nil { // as Open does
		done, err = f.importFrom(r)
	}
	if err != nil {
		return Imported{}, fmt.Errorf("persist: %w", err)
	}
	return done, nil
}

// An input is an export that has been read.
type input struct {
	header   exportHeader
	secretID []byte
	bootID   [16]byte
	limits   map[string]bucket.Limit
	debts    map[string]map[uint64]time.Duration // by policy
	records  int
}

func (f *File) importFrom(r io.Reader) (Imported, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 1<<16), maxLine)
	in, err := readHeader(lines)
	if err != nil {
		return Imported{}, err
	}
	// What can be refused is before much is read, and before anything is
	// changed.
	present, err := f.expect(in.secretID)
	if err != nil {
		return Imported{}, err
	}
	if err := in.readRecords(lines); err != nil {
		return Imported{}, err
	}
	f.keep = true
	if present != nil {
		f.cfg.Interval = present.Restored.Interval
	}
	if err := f.open(); err != nil {
		return Imported{}, err
	}
	if !bytes.Equal(secretID(f.secret), in.secretID) {
		return Imported{}, errors.Join(fmt.Errorf("%s: its secret has changed meanwhile", f.path), guard(f.db.Close))
	}
	done, err := f.merge(in)
	if f.db != nil { // not given up
		err = errors.Join(err, guard(f.db.Close))
	}
	return done, err
}

// expect returns what the file holds, nil if there is none, and an error unless
// it has the secret with that id.
func (f *File) expect(id []byte) (*Info, error) {
	var info *Info
	secret, err := f.checkSecret(nil)
	c := &Copy{file: &File{path: f.path, cfg: f.cfg, clocks: f.clocks}}
	switch reading := c.read(); {
	case reading == nil:
		if info = &c.info; info.InUse {
			return nil, f.lockedByAnother()
		}
	case !errors.Is(reading, fs.ErrNotExist):
		return nil, reading
	}
	var has []byte
	switch {
	case info != nil && info.SecretID != nil:
		has = info.SecretID
		if info.SecretError != nil {
			return nil, info.SecretError
		}
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s.key is missing: put the one of the exported file there, or the hashes mean nothing", f.path)
	case err != nil:
		return nil, err
	default:
		has = secretID(secret)
	}
	if !bytes.Equal(has, id) {
		return nil, fmt.Errorf("line 1: it was exported under secret %x, and that of %s is %x: the hashes mean nothing under another", id, f.path, has)
	}
	return info, nil
}

// merge adds the input to the open file.
func (f *File) merge(in input) (Imported, error) {
	held := map[string]map[uint64]time.Duration{}
	f.load(func(policy string, _ bucket.Limit) bool {
		_, wanted := in.debts[policy]
		held[policy] = map[uint64]time.Duration{}
		return wanted
	}, func(policy string, hash uint64, debt time.Duration) { held[policy][hash] = debt })
	// Debts loaded are as of before this: a little too long, not too short.
	now := f.now()
	done := Imported{Records: in.records}
	done.Credit, done.Clock = in.header.credit(in.bootID, now)
	// What a debt is at one reading of the clocks counts from the next.
	// A file that no run has ever had open has no end that was not clean.
	s := Snapshot{At: f.now().mono, Full: true, Final: f.restored.Clean || f.restored.Clock == clockUnknown}
	for _, p := range in.header.Policies {
		debts, ok := in.debts[p.Name]
		if !ok {
			continue // it has no records
		}
		done.Policies++
		from, to := p.Limit, p.Limit
		if ids := f.index.versions(p.Name); len(ids) > 0 {
			to = f.index.policies[ids[len(ids)-1]].limit
		}
		merged := held[p.Name]
		if merged == nil {
			merged = map[uint64]time.Duration{}
		}
		for hash, debt := range debts {
			debt = min(debt, from.Refill()) - done.Credit
			debt = min(bucket.KeepUsed.Rescale(debt, from, to), to.Refill())
			if debt <= 0 {
				done.Over++
			}
			if debt > merged[hash] {
				merged[hash] = debt
				done.Raised++
			}
		}
		s.Sections = append(s.Sections, Section{Policy: p.Name, Limit: to, Records: pairs(merged)})
	}
	if done.Raised == 0 && !s.Final {
		return done, nil
	}
	if done.Raised == 0 {
		s.Full, s.Sections = false, nil // only to say again that the end was clean
	}
	p, err := f.plan(s)
	if err == nil {
		_, err = f.save(s, p)
	}
	return done, err
}

func pairs(m map[uint64]time.Duration) func(yield func(uint64, time.Duration) bool) {
	return func(yield func(uint64, time.Duration) bool) {
		for k, v := range m {
			if !yield(k, v) {
				return
			}
		}
	}
}

// credit returns how much time has passed since the export for certain, and how
// that is known. Unlike a stamp's, the time since a boot proves nothing: it may
// be that of another machine.
func (h *exportHeader) credit(bootID [16]byte, now reading) (time.Duration, string) {
	switch {
	case bootID != [16]byte{} && bootID == now.bootID:
		if now.boot < h.BootNS {
			return 0, clockNone
		}
		return clampCredit(now.boot - h.BootNS), clockBoot
	case h.Synchronised && now.synced:
		return clampCredit(elapsed(h.ExportedAt.UnixNano(), now.wall)), clockSynced
	}
	return 0, clockNone
}

// readHeader reads the first line.
func readHeader(lines *bufio.Scanner) (input, error) {
	in := input{limits: map[string]bucket.Limit{}, debts: map[string]map[uint64]time.Duration{}}
	if !lines.Scan() {
		if err := scanError(lines, 1); err != nil {
			return in, err
		}
		return in, errors.New("line 1: the input is empty: want what weir state export writes")
	}
	// What is of another format or version need not be right otherwise.
	h := &in.header
	var which struct {
		Format  string `json:"format"`
		Version int    `json:"version"`
	}
	if err := json.Unmarshal(lines.Bytes(), &which); err != nil || which.Format != exportFormat {
		return in, fmt.Errorf("line 1: it is not the header of an export: want one that begins {\"format\":%q", exportFormat)
	}
	if which.Version != exportVersion {
		return in, fmt.Errorf("line 1: version %d: want %d; if that is newer, update", which.Version, exportVersion)
	}
	if err := decodeLine(lines.Bytes(), h); err != nil {
		return in, fmt.Errorf("line 1: %w", err)
	}
	if year := h.ExportedAt.Year(); year < 1970 || year > 2261 {
		return in, fmt.Errorf("line 1: exported_at %v: want a year from 1970 to 2261", h.ExportedAt)
	}
	if h.BootNS < 0 {
		return in, fmt.Errorf("line 1: boot_ns %d is out of range: want at least 0", h.BootNS)
	}
	if h.Records < 0 {
		return in, fmt.Errorf("line 1: records %d is out of range: want at least 0", h.Records)
	}
	var err error
	if in.secretID, err = hex.DecodeString(h.SecretID); err != nil || len(in.secretID) != secretIDSize {
		return in, fmt.Errorf("line 1: secret_id %.80q: want %d hexadecimal digits", h.SecretID, 2*secretIDSize)
	}
	if h.BootID != "" {
		id, err := hex.DecodeString(h.BootID)
		if err != nil || len(id) != len(in.bootID) {
			return in, fmt.Errorf("line 1: boot_id %.80q: want %d hexadecimal digits, or none", h.BootID, 2*len(in.bootID))
		}
		copy(in.bootID[:], id)
	}
	for _, p := range h.Policies {
		if _, ok := in.limits[p.Name]; ok {
			return in, fmt.Errorf("line 1: policy %.80q is there twice", p.Name)
		}
		if p.Name == "" || len(p.Name) > maxName {
			return in, fmt.Errorf("line 1: policy %.80q has a name of %d bytes: want 1 to %d", p.Name, len(p.Name), maxName)
		}
		if p.Limit == (bucket.Limit{}) {
			return in, fmt.Errorf("line 1: policy %.80q has no limit", p.Name)
		}
		in.limits[p.Name] = p.Limit
	}
	return in, nil
}

// readRecords reads the lines after the first.
func (in *input) readRecords(lines *bufio.Scanner) error {
	n := 1
	for lines.Scan() {
		n++
		var r exportRecord
		if err := decodeLine(lines.Bytes(), &r); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if _, ok := in.limits[r.Policy]; !ok {
			return fmt.Errorf("line %d: policy %.80q is not one of the header's", n, r.Policy)
		}
		if r.Hash == nil {
			return fmt.Errorf("line %d: hash is missing", n)
		}
		if r.FullInNS == nil {
			return fmt.Errorf("line %d: full_in_ns is missing", n)
		}
		if *r.FullInNS < 0 {
			return fmt.Errorf("line %d: full_in_ns %d is out of range: want at least 0", n, *r.FullInNS)
		}
		if in.records++; in.records > in.header.Records {
			return fmt.Errorf("line %d: the header says that there are %d records: this is one more", n, in.header.Records)
		}
		if in.debts[r.Policy] == nil {
			in.debts[r.Policy] = map[uint64]time.Duration{}
		}
		debts, hash := in.debts[r.Policy], uint64(*r.Hash)
		debts[hash] = max(debts[hash], time.Duration(*r.FullInNS))
	}
	if err := scanError(lines, n+1); err != nil {
		return err
	}
	if in.records < in.header.Records {
		return fmt.Errorf("line %d: the input ends after %d records: the header says that there are %d", n, in.records, in.header.Records)
	}
	return nil
}

// scanError returns why lines ended before line n, or nil if they were all.
func scanError(lines *bufio.Scanner, n int) error {
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return fmt.Errorf("line %d is longer than %d bytes", n, maxLine)
	case err != nil:
		return fmt.Errorf("line %d: %w", n, err)
	}
	return nil
}

// decodeLine reads one JSON object that is all of a line.
func decodeLine(line []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.Is(err, io.EOF):
		return errors.New("it is empty: want a JSON object")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("it ends before its JSON does")
	case errors.As(err, &syntax):
		return fmt.Errorf("it is not JSON: at byte %d: %w", syntax.Offset, err)
	case errors.As(err, &kind) && kind.Field != "":
		return fmt.Errorf("%s is a %.80s: want a %s", kind.Field, kind.Value, jsonName(kind))
	case err != nil:
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more after its JSON object: want one object a line")
	}
	return nil
}

// jsonName says what JSON calls a type.
func jsonName(e *json.UnmarshalTypeError) string {
	switch kind := e.Type.Kind().String(); kind {
	case "int", "int64":
		return "whole number up to 2^63-1"
	case "slice":
		return "list"
	case "bool":
		return "true or false"
	default:
		return "text"
	}
}
