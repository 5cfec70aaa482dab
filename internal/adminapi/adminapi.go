// Package adminapi is what the admin listener of weir serve says, as JSON: the
// types that the server encodes, and the commands and the page decode.
//
// Fields may be added. Who reads them passes over those it does not know.
package adminapi

import "time"

// Paths of the API, below the address of the admin listener.
const (
	PathStatus    = "/api/v1/status"     // GET a Status
	PathEvents    = "/api/v1/events"     // GET a stream of server-sent events, each a Status, one a second
	PathKeys      = "/api/v1/keys"       // GET a list of Key; parameters policy and n; wants the token
	PathReset     = "/api/v1/keys/reset" // POST a Reset; wants the token
	PathDecisions = "/api/v1/decisions/" // GET a Denial, by its id after this; wants the token
	PathWhoami    = "/api/v1/whoami"     // GET a Whoami about this request, or POST a Question
)

// A Status says how a server does. No key is in it.
type Status struct {
	Version   string    `json:"version"`
	Started   time.Time `json:"started"`
	UptimeMs  int64     `json:"uptimeMs"`
	Listen    string    `json:"listen"`    // where requests come in, such as http://127.0.0.1:8080
	Upstreams []string  `json:"upstreams"` // as in the banner; none with the built-in one
	State     State     `json:"state"`
	Policies  []Policy  `json:"policies"` // in the order in which they were given
	Warnings  []Warning `json:"warnings"` // signs of misuse, in the order in which they were first seen
	Health    []Health  `json:"health"`   // what is wrong now, the worst first; empty if nothing is
}

// State is about the file that survives a restart.
type State struct {
	Path      string     `json:"path"`                // "" if nothing is kept
	LastSaved *time.Time `json:"lastSaved,omitempty"` // nil before the first save
	AgeMs     int64      `json:"ageMs"`               // what was spent in it a crash would forget
	Error     string     `json:"error,omitempty"`     // why the last save failed
}

// A Policy is what a limit has done since the start.
type Policy struct {
	Name   string `json:"name"`
	Limit  string `json:"limit"`           // as bucket.ParseLimit reads it
	Key    string `json:"key"`             // who a request counts for, such as ip
	Scope  string `json:"scope,omitempty"` // which requests it is for; "" is all
	DryRun bool   `json:"dryRun"`

	Asked   uint64 `json:"asked"` // requests it was consulted about
	Allowed uint64 `json:"allowed"`
	Denied  uint64 `json:"denied"`  // or would have been, but for a dry run
	Missing uint64 `json:"missing"` // had no identity of the kind of its key

	KeysInMemory int    `json:"keysInMemory"`
	Evicted      uint64 `json:"evicted"`
	DebtsKept    uint64 `json:"debtsKept"`    // of evicted keys
	DebtsDropped uint64 `json:"debtsDropped"` // forgotten, which should stay 0

	// PeakUse is the most that a key has used at once, as a part of its burst:
	// 0 to 1.
	PeakUse float64 `json:"peakUse"`
	// Shadow is a candidate that is counted beside the limit; nil is none.
	Shadow *Shadow `json:"shadow,omitempty"`
}

// A Shadow is a limit that is counted and never refuses.
type Shadow struct {
	Limit     string `json:"limit"`
	WouldDeny uint64 `json:"wouldDeny"`
}

// A Warning is a sign of misuse.
type Warning struct {
	ID   string    `json:"id"` // of the kind, such as untrusted-forwarded
	Text string    `json:"text"`
	Cure string    `json:"cure"`
	At   time.Time `json:"at"` // first seen
}

// Levels of a Health.
const (
	LevelInfo    = "info"
	LevelWarning = "warning"
	LevelError   = "error"
)

// A Health is something that is not as it should be.
type Health struct {
	ID    string `json:"id"`
	Level string `json:"level"`
	Text  string `json:"text"`
	Cure  string `json:"cure"`
}

// A Key is what one client has left under one policy. It comes with those first
// that have the least.
type Key struct {
	// Key is the client as text: an address, or for credentials the kind and the
	// beginning of a hash. It is what a Reset takes.
	Key          string `json:"key"`
	Policy       string `json:"policy"`
	Remaining    int    `json:"remaining"`
	Burst        int    `json:"burst"`
	RetryAfterMs int64  `json:"retryAfterMs"` // until one request is allowed; 0 is now
	ResetAfterMs int64  `json:"resetAfterMs"` // until the bucket is full
}

// A Reset asks for the bucket of a key to be made full.
type Reset struct {
	Policy string `json:"policy"`
	Key    string `json:"key"`
}

// A Denial is why a request was refused.
type Denial struct {
	ID           string    `json:"id"`
	At           time.Time `json:"at"`
	Method       string    `json:"method"`
	Path         string    `json:"path"`
	Policy       string    `json:"policy"`
	Limit        string    `json:"limit"`
	Key          string    `json:"key"`
	Cost         int       `json:"cost"`
	Remaining    int       `json:"remaining"`
	RetryAfterMs int64     `json:"retryAfterMs"` // as it was then
	ResetAfterMs int64     `json:"resetAfterMs"`
}

// A Whoami is how a request would be counted, and why.
type Whoami struct {
	Peer     string   `json:"peer"`   // who connected
	Client   string   `json:"client"` // who is taken to be the client
	Why      string   `json:"why"`    // where that is from
	Policies []Keying `json:"policies"`
}

// A Keying is how a request would be counted under one policy.
type Keying struct {
	Policy  string `json:"policy"`
	Limit   string `json:"limit"`
	Applies bool   `json:"applies"` // the policy is for such requests
	Key     string `json:"key"`     // as text, as in Key
	Why     string `json:"why"`
}

// A Question is about a request that is not sent.
type Question struct {
	Peer   string              `json:"peer,omitempty"` // an address; "" is who asks
	Method string              `json:"method,omitempty"`
	Path   string              `json:"path,omitempty"`
	Header map[string][]string `json:"header,omitempty"`
}

// A Problem is an error: RFC 9457.
type Problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
}
