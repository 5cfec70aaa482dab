package config

// The structs of the file. Each field with a yaml tag is a key; the others of
// its tags are what the schema says of it: help, enum (the words that it takes),
// type ("integer" or "boolean", else it is a text), least and most of a number,
// and short for a field that a single value in place of the mapping is for.

// A policyFile is a policy with keys of its own.
type policyFile struct {
	At            scalar
	Name          scalar      `yaml:"name" help:"What clients and the state file know the policy by. Without it, it is the text of the key."`
	PreviousNames []scalar    `yaml:"previous-names" help:"Names that the policy had before: what clients have used under them is kept."`
	Key           scalar      `yaml:"key" required:"yes" help:"Who a request counts for: ip, ip/BITS, user, header:NAME, cookie:NAME, bearer, basic, path, global, or several joined by '+'."`
	Limit         scalar      `yaml:"limit" required:"yes" help:"How many requests in how long, such as 100/min or 1000/day burst 50."`
	DryRun        scalar      `yaml:"dry-run" type:"boolean" help:"Count, and never refuse."`
	Missing       scalar      `yaml:"missing" enum:"ip,refuse,shared,skip" help:"What becomes of a request without the identity: it counts by its address (ip, the default), is answered with 400 (refuse), shares one bucket with all such (shared), or is not for this policy (skip)."`
	Routes        []scalar    `yaml:"routes" help:"Patterns of net/http's ServeMux of the requests that the policy is for, such as POST /login or /api/. Without them it is for all."`
	Cost          *costFile   `yaml:"cost" help:"How many tokens a request takes: a number, or what a request header field says."`
	Settle        *settleFile `yaml:"settle" help:"What a request turns out to have cost, once there is a response."`
	Tiers         []tierFile  `yaml:"tiers" help:"Limits of their own for some keys, such as the users of a plan."`
	Change        scalar      `yaml:"change" enum:"keep-used,keep-fraction,start-over" help:"What becomes of buckets when the limit changes: what was used stays used (the default), the part that is full stays, or all are full."`
	Crash         scalar      `yaml:"crash" enum:"accept,charge" help:"As the setting of that name, for this policy."`
	ColdStart     scalar      `yaml:"cold-start" enum:"full,empty" help:"As the setting of that name, for this policy."`
	Size          scalar      `yaml:"size" type:"integer" least:"1" most:"67108864" help:"How many keys are kept in memory (default 65536)."`
	Debts         scalar      `yaml:"debts" type:"integer" least:"8" most:"268435456" help:"How many debts of further keys are kept, 16 bytes each (default four times the size)."`
}

// A costFile is what a request costs.
type costFile struct {
	At     scalar
	Tokens scalar `yaml:"tokens" short:"yes" type:"integer" least:"0" most:"2147483647" help:"So many for each request."`
	Header scalar `yaml:"header" help:"Name of the request header field that says how many, as a whole number."`
	Min    scalar `yaml:"min" type:"integer" least:"0" most:"2147483647" help:"The least, and what it is without the field (default 1)."`
	Max    scalar `yaml:"max" type:"integer" least:"1" most:"2147483647" help:"The most, and what it is where the field cannot be read."`
}

// A settleFile is what a request turns out to have cost.
type settleFile struct {
	At       scalar
	Statuses []scalar `yaml:"statuses" also:"integer" help:"Only responses with these statuses count, such as 401, 5xx or 400-499: others cost nothing."`
	Header   scalar   `yaml:"header" help:"Name of the response header field that says what the request cost, as a whole number."`
	Max      scalar   `yaml:"max" type:"integer" least:"1" most:"2147483647" help:"The most that the header field can say."`
}

// A tierFile is a limit for some keys.
type tierFile struct {
	At    scalar
	Plan  scalar   `yaml:"plan" help:"What the tier is called."`
	Limit scalar   `yaml:"limit" required:"yes" help:"The limit of each of its keys."`
	Keys  []scalar `yaml:"keys" also:"integer" required:"yes" help:"Users, addresses or paths; of a header field, a cookie or a bearer token its hash, sha256:..., as weir config hash prints it."`
}

// An inFlightFile is a limit of requests at once with keys of its own.
type inFlightFile struct {
	At         scalar
	Name       scalar   `yaml:"name" help:"What clients know it by. Without it, it is the text of the key and /in-flight."`
	Key        scalar   `yaml:"key" required:"yes" help:"Whose requests count together, as of a policy."`
	Max        scalar   `yaml:"max" required:"yes" type:"integer" least:"1" most:"2147483647" help:"How many there may be at once."`
	RetryAfter scalar   `yaml:"retry-after" help:"What a client that is refused is told to wait (default 1s)."`
	Missing    scalar   `yaml:"missing" enum:"ip,refuse,shared,skip" help:"What becomes of a request without the identity, as of a policy."`
	Routes     []scalar `yaml:"routes" help:"Patterns of the requests that it is for, as of a policy."`
}

// An upstreamFile is where requests go.
type upstreamFile struct {
	At    scalar
	Path  scalar `yaml:"path" help:"The upstream is for this path and what is below it (default /)."`
	To    scalar `yaml:"to" required:"yes" help:"Its URL, http or https."`
	Strip scalar `yaml:"strip" type:"boolean" help:"Ask it without the path."`
}
