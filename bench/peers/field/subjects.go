package field

import (
	"fmt"
	"slices"

	"github.com/seed-0c889b51/weir/internal/measure"
	"github.com/seed-0c889b51/weir/internal/measure/subjects"
)

// Subjects returns all that is measured side by side: weir in the ways that it
// can be asked, the other contenders, and the floors. Contenders that have no
// keys are floors: nobody can use them in place of the others.
func Subjects() []measure.Subject {
	all := subjects.Ours()
	for _, c := range All() {
		if !c.Ours {
			all = append(all, c.subject())
		}
	}
	for _, floor := range subjects.Floors() {
		if !slices.ContainsFunc(all, func(s measure.Subject) bool { return s.Name == floor.Name }) {
			all = append(all, floor)
		}
	}
	return all
}

func (c Contender) subject() measure.Subject {
	kind := measure.Peer
	if !c.Keyed {
		kind = measure.Floor
	}
	return measure.Subject{
		Name: c.Name, About: string(c.Algorithm) + ", " + c.Module,
		Kind: kind, Keyed: c.Keyed, Bounded: c.Bounded, MayFail: c.MayFail,
		NeverDenies: c.Algorithm == Spacer,
		Make: func(w *measure.Workload) (measure.Decide, func(), error) {
			if w.Limit.Burst != w.Limit.Quota {
				return nil, nil, fmt.Errorf("%s: a burst of %d under a quota of %d: here they are the same", c.Name, w.Limit.Burst, w.Limit.Quota)
			}
			limiter, err := c.Make(Limit{w.Limit.Quota, w.Limit.Window}, w.Capacity)
			return limiter.Allow, limiter.Close, err
		},
	}
}
