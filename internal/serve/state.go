package serve

import (
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"

	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/httpmw"
)

// openLimiter returns the limiter. If its state cannot be used, it is one that
// keeps nothing, and stateErr says why; or, if the state is needed, err does.
func openLimiter(cfg Config, client, proxies httpmw.ClientIP) (limiter *weir.Limiter, stateErr, err error) {
	var over atomic.Bool
	defer over.Store(true)
	kept := weir.Config{
		Path: cfg.State, Secret: cfg.Secret, Interval: cfg.SnapshotEvery, Edge: cfg.Edge,
		Logger: slog.New(starting{cfg.Logger.Handler(), &over}),
	}
	for _, p := range cfg.Policies {
		kept.Policies = append(kept.Policies, limitOf(cfg, p))
		of := &kept.Policies[len(kept.Policies)-1]
		if of.LimitFor, err = tiersOf(cfg, p, client, proxies); err != nil {
			return nil, nil, configError(err)
		}
	}
	if limiter, err = weir.New(kept); err == nil {
		return limiter, nil, nil
	}
	stateErr = stateError{err}
	inMemory := kept
	inMemory.Path = ""
	if limiter, err = weir.New(inMemory); err != nil {
		return nil, nil, configError(err) // it was not for the state
	}
	if cfg.NeedState {
		limiter.Close()
		return nil, nil, fmt.Errorf("--state %q: %w", cfg.State, stateErr)
	}
	return limiter, stateErr, nil
}

// A stateError is why the state cannot be used, without the names of packages
// that say nothing to who reads it.
type stateError struct{ error }

func (e stateError) Error() string {
	return strings.TrimPrefix(strings.TrimPrefix(e.error.Error(), "weir: "), "persist: ")
}

func (e stateError) Unwrap() error { return e.error }
