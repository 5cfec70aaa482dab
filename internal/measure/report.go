package measure

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"time"
)

// Schema is the version of Report as JSON.
const Schema = 1

// A Report is all that was measured. As JSON it is described in
// bench/schema.md.
type Report struct {
	Schema   int           `json:"schema"`
	Made     time.Time     `json:"made"`
	Machine  Machine       `json:"machine"`
	Settings Settings      `json:"settings"`
	Subjects []SubjectInfo `json:"subjects"`
	Cells    []Cell        `json:"cells"`
	Latency  []Latency     `json:"latency"`
	Memory   []Memory      `json:"memory"`
	Targets  []Target      `json:"targets"`
}

// A SubjectInfo says what a subject is.
type SubjectInfo struct {
	Name    string `json:"name"`
	Kind    Kind   `json:"kind"`
	Keyed   bool   `json:"keyed"`
	Bounded bool   `json:"bounded"`
	About   string `json:"about,omitempty"`
}

// A Cell is what a decision of a subject took with a workload.
type Cell struct {
	Subject  string `json:"subject"`
	Workload string `json:"workload"`
	Denied   bool   `json:"denied"`
	Procs    int    `json:"procs"` // GOMAXPROCS and goroutines

	// NsPerOp is wall time over the requests of all goroutines, the median of
	// the rounds, and Mad the median of how far these are from it.
	NsPerOp float64 `json:"nsPerOp"`
	Mad     float64 `json:"mad"`
	Allocs  float64 `json:"allocs"` // a request, median
	Bytes   float64 `json:"bytes"`  // allocated for a request, median
	Ops     uint64  `json:"ops"`    // requests in all rounds
	Wrong   uint64  `json:"wrong"`  // answers of them
	// Apart is in how many rounds the goroutines did not each get a processor of
	// their own: then the machine is too busy to be measured.
	Apart int `json:"apart"`
	// Rounds has the ns of each round, in the order of rounds: the same index in
	// two cells of a workload is the same time of day.
	Rounds []float64 `json:"rounds"`

	allocs, bytes []float64
}

func (c *Cell) sum() {
	c.NsPerOp = Median(c.Rounds)
	c.Mad = MAD(c.Rounds)
	// The harness allocates a few times a round.
	c.Allocs = math.Round(100*Median(c.allocs)) / 100
	c.Bytes = math.Round(10*Median(c.bytes)) / 10
}

// A Memory is what a subject takes for its keys.
type Memory struct {
	Subject     string  `json:"subject"`
	Keys        int     `json:"keys"`
	BytesPerKey float64 `json:"bytesPerKey"` // of live heap, with the key
	GCCPUMs     float64 `json:"gcCPUms"`     // CPU time of a garbage collection, median
}

// A Target is a figure that is to be reached, and what was.
type Target struct {
	Name    string  `json:"name"`
	Goal    float64 `json:"goal"` // at most
	Got     float64 `json:"got"`
	Unit    string  `json:"unit"` // "×" for a ratio
	Against string  `json:"against,omitempty"`
	Reached bool    `json:"reached"`
}

// Info returns what the report says about subjects, each name once.
func Info(subjects []Subject) (infos []SubjectInfo) {
	seen := map[string]bool{}
	for _, s := range subjects {
		if !seen[s.Name] {
			seen[s.Name] = true
			infos = append(infos, SubjectInfo{Name: s.Name, Kind: s.Kind, Keyed: s.Keyed, Bounded: s.Bounded, About: s.About})
		}
	}
	return infos
}

// Write writes the report as JSON.
func (r *Report) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	return e.Encode(r)
}

// Read reads a report. It is an error if it has another schema, or lacks what
// every report has.
func Read(from io.Reader) (*Report, error) {
	var r Report
	d := json.NewDecoder(from)
	if err := d.Decode(&r); err != nil {
		return nil, fmt.Errorf("not a report: %w", err)
	}
	if r.Schema != Schema {
		return nil, fmt.Errorf("a report of schema %d: want %d", r.Schema, Schema)
	}
	for i := range r.Cells {
		c := &r.Cells[i]
		if len(c.Rounds) == 0 || c.Subject == "" || c.Workload == "" || c.Procs < 1 {
			return nil, fmt.Errorf("a report whose cell %d has no rounds, subject, workload or procs", i)
		}
		for _, ns := range c.Rounds {
			if !(ns > 0) || math.IsInf(ns, 0) {
				return nil, fmt.Errorf("a report whose cell %d has a round of %v ns: want more than 0", i, ns)
			}
		}
	}
	return &r, nil
}
