package state

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/internal/oneline"
	"github.com/seed-0c889b51/weir/persist"
)

// WriteInfo writes what a file holds for people, one fact a line. wanted are
// the names of the policies that the file is meant for; nil says nothing of
// that.
func WriteInfo(w io.Writer, info persist.Info, wanted []string) error {
	var b strings.Builder
	line := func(what, format string, args ...any) {
		fmt.Fprintf(&b, "%-9s %s\n", what, oneline.Text(fmt.Sprintf(format, args...)))
	}
	line("file", "%s, %s", info.Path, sizeText(info.Size))
	line("pages", "%d of %d bytes, %d of them free", info.Pages, info.PageSize, info.FreePages)
	line("format", "written as %d, readable from %d on", info.Writer, info.OldestReader)
	line("written", "%s", ageText(info.Restored))
	line("ended", "%s", endText(info))
	if info.SecretID == nil {
		line("secret", "none yet: nothing has been saved")
	} else {
		line("clock", "%s", clockText(info.Stamp))
		line("secret", "%s", secretText(info))
	}
	line("segments", "%d, with %d chunks and %d records, of which %d live", info.Segments, info.Chunks, info.Records, info.Restored.Records)
	if n := info.Restored.Skipped; n > 0 {
		line("", "%d chunks are of a newer version, and are not counted", n)
	}
	if info.Restored.FellBack {
		line("", "one of the two roots of the file is damaged: the last save was cut off or is lost")
	}
	for _, p := range info.Policies {
		text := fmt.Sprintf("%s %s: %s", nameText(p.Name), p.Limit, count(p.Live, "live record", "live records"))
		if p.Live > 0 {
			text += ", the longest debt is " + durationText(p.Longest)
		}
		if p.Saved > 0 {
			text += ", last saved " + durationText(p.Saved) + " ago"
		}
		if unwanted(p.Name, wanted) {
			text += "; unwanted: it stays until its debts are over"
		}
		line("policy", "%s", text)
	}
	if len(info.Policies) == 0 {
		line("policy", "none")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func unwanted(name string, wanted []string) bool {
	return wanted != nil && !slices.Contains(wanted, name)
}

// nameText quotes a name that would not be told from what is around it.
func nameText(name string) string {
	if strings.ContainsAny(name, " \t\"") {
		return fmt.Sprintf("%q", name)
	}
	return name
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func sizeText(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d bytes", n)
}

// durationText rounds up what nobody reads, and never to nothing.
func durationText(d time.Duration) string {
	unit := time.Second
	switch {
	case d < time.Millisecond:
		unit = time.Nanosecond
	case d < 10*time.Second:
		unit = time.Millisecond
	}
	return (d + unit - 1).Truncate(unit).String()
}

// ageText says how long ago the file was written, and how that is known.
func ageText(r persist.Restored) string {
	age := durationText(r.Away)
	switch r.Clock {
	case "same boot":
		return age + " ago, by the clock of this boot"
	case "synchronised":
		return age + " ago, by the synchronised clock"
	case "since boot":
		return "at least " + age + " ago, which is how long this machine is up"
	case "wall clock":
		return "about " + age + " ago, by the wall clock"
	case "none":
		return "at a time that the clocks do not tell"
	}
	return "never"
}

func endText(info persist.Info) string {
	switch {
	case info.InUse:
		return "not yet: it is in use"
	case info.SecretID == nil:
		return "it has not been used"
	case info.Restored.Clean:
		return "clean"
	}
	return fmt.Sprintf("in a crash: what was spent since it was last saved may be missing, about %v of it if all went well", info.Restored.Interval)
}

func clockText(s persist.Stamp) string {
	text := fmt.Sprintf("%s, %s on the file's own timeline", s.Wall.UTC().Format(time.RFC3339), durationText(s.Timeline))
	if s.BootID != [16]byte{} {
		text += fmt.Sprintf(", %s after boot %x", durationText(s.Boot), s.BootID)
	}
	if s.Synchronised.IsZero() {
		return text + ", never synchronised"
	}
	return text + ", last synchronised " + s.Synchronised.UTC().Format(time.RFC3339)
}

func secretText(info persist.Info) string {
	text := fmt.Sprintf("id %x, ", info.SecretID)
	if info.SecretError != nil {
		return text + secretProblem(info.SecretError)
	}
	return text + "it is there"
}

// secretProblem says why the secret of a file is not there, and what that means.
func secretProblem(err error) string {
	return err.Error() + "; weir serve could not use the file like this: see --state-key"
}

// The JSON of an Info. Durations are in nanoseconds.
type infoJSON struct {
	Path      string       `json:"path"`
	TakenAt   time.Time    `json:"taken_at"`
	InUse     bool         `json:"in_use"`
	Size      int64        `json:"size"`
	PageSize  int          `json:"page_size"`
	Pages     int          `json:"pages"`
	FreePages int          `json:"free_pages"`
	Format    formatJSON   `json:"format"`
	Segments  int          `json:"segments"`
	Chunks    int          `json:"chunks"`
	Records   int          `json:"records"`
	Live      int          `json:"live"`
	Skipped   int          `json:"skipped_chunks"`
	FellBack  bool         `json:"fell_back"`
	Clean     bool         `json:"clean"`
	Interval  int64        `json:"interval_ns"`
	Away      int64        `json:"away_ns"`
	Clock     string       `json:"clock"`
	Stamp     *stampJSON   `json:"stamp"` // null if nothing has been saved
	SecretID  string       `json:"secret_id"`
	Secret    string       `json:"secret_error"` // "" if it is there
	Policies  []policyJSON `json:"policies"`
}

type formatJSON struct {
	Writer       int `json:"writer"`
	OldestReader int `json:"oldest_reader"`
}

type stampJSON struct {
	Timeline       int64      `json:"timeline_ns"`
	Wall           time.Time  `json:"wall"`
	Boot           int64      `json:"boot_ns"`
	BootID         string     `json:"boot_id"` // "" if there is none
	SynchronisedAt *time.Time `json:"synchronised_at"`
}

type policyJSON struct {
	Name     string       `json:"name"`
	Limit    bucket.Limit `json:"limit"`
	Live     int          `json:"live"`
	Longest  int64        `json:"longest_ns"`
	Saved    int64        `json:"saved_ago_ns"`
	Unwanted *bool        `json:"unwanted,omitempty"` // only if the policies wanted were given
}

// WriteInfoJSON is WriteInfo for programs, as one JSON object.
func WriteInfoJSON(w io.Writer, info persist.Info, wanted []string) error {
	r := info.Restored
	out := infoJSON{
		Path: info.Path, TakenAt: info.Taken.UTC(), InUse: info.InUse,
		Size: info.Size, PageSize: info.PageSize, Pages: info.Pages, FreePages: info.FreePages,
		Format:   formatJSON{info.Writer, info.OldestReader},
		Segments: info.Segments, Chunks: info.Chunks, Records: info.Records, Live: r.Records,
		Skipped: r.Skipped, FellBack: r.FellBack, Clean: r.Clean,
		Interval: int64(r.Interval), Away: int64(r.Away), Clock: r.Clock,
		SecretID: hex.EncodeToString(info.SecretID), Policies: []policyJSON{},
	}
	if info.SecretError != nil {
		out.Secret = info.SecretError.Error()
	}
	if s := info.Stamp; info.SecretID != nil {
		out.Stamp = &stampJSON{Timeline: int64(s.Timeline), Wall: s.Wall.UTC(), Boot: int64(s.Boot)}
		if s.BootID != [16]byte{} {
			out.Stamp.BootID = hex.EncodeToString(s.BootID[:])
		}
		if !s.Synchronised.IsZero() {
			at := s.Synchronised.UTC()
			out.Stamp.SynchronisedAt = &at
		}
	}
	for _, p := range info.Policies {
		j := policyJSON{Name: p.Name, Limit: p.Limit, Live: p.Live, Longest: int64(p.Longest), Saved: int64(p.Saved)}
		if wanted != nil {
			is := unwanted(p.Name, wanted)
			j.Unwanted = &is
		}
		out.Policies = append(out.Policies, j)
	}
	return json.NewEncoder(w).Encode(out)
}
