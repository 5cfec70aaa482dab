package replay

import "github.com/seed-0c889b51/weir/internal/policy"

// yaml returns a policy as the configuration file of weir serve has it. Neither
// keys nor limits have a character in them that needs quotes there.
func yaml(p policy.Policy) string { return "policies:\n  - " + p.String() + "\n" }
