package cli

import (
	"fmt"

	"github.com/seed-0c889b51/weir/internal/admin"
	"github.com/seed-0c889b51/weir/internal/serve"
)

// setAdminToken reads the token of the admin listener from the file that is
// named. If none is, it is in one beside the state, which serve makes; but
// whoever keeps the secret of the state elsewhere wants no other one there.
func setAdminToken(cfg *serve.Config, file string) error {
	if cfg.Admin.Listen == "" {
		return nil
	}
	var err error
	switch {
	case file != "":
		cfg.Admin.TokenFile = file
		if cfg.Admin.Token, err = admin.ReadToken(file); err != nil {
			return runError{fmt.Errorf("--admin-token %q: %w", file, err)}
		}
	case cfg.State != "" && cfg.Secret == nil:
		cfg.Admin.TokenFile = cfg.State + ".token"
	}
	return nil
}
