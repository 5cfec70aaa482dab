package field

import (
	"github.com/seed-0c889b51/weir"
	"github.com/seed-0c889b51/weir/bucket"
	"github.com/seed-0c889b51/weir/registry"
)

const (
	weirModule = "github.com/seed-0c889b51/weir"
	// Weir is the name of the contender that the others are compared with.
	Weir = "weir"
)

func ours() []Contender {
	return []Contender{
		{Name: Weir, Module: weirModule, Algorithm: TokenBucket, Ours: true, Keyed: true, Bounded: true, Make: makeRegistry},
		{Name: "weir-limiter", Module: weirModule, Algorithm: TokenBucket, Ours: true, Keyed: true, Bounded: true, Make: makeLimiter},
	}
}

// makeRegistry returns the part of weir that does what the others do.
func makeRegistry(l Limit, size int) (Limiter, error) {
	r, err := registry.New(registry.Config[string]{
		Limit: bucket.Limit{Quota: l.Quota, Window: l.Window}, Size: size,
	})
	if err != nil {
		return Limiter{}, err
	}
	return Limiter{Allow: r.Allow, Close: forever}, nil
}

// makeLimiter returns the whole limiter, with one policy and no file.
func makeLimiter(l Limit, size int) (Limiter, error) {
	w, err := weir.Open("", weir.Policy{
		Name: "key", Limit: bucket.Limit{Quota: l.Quota, Window: l.Window}, Size: size,
	})
	if err != nil {
		return Limiter{}, err
	}
	return Limiter{
		Allow: func(key string) bool { return w.Allow(key) },
		Close: func() { w.Close() },
	}, nil
}
