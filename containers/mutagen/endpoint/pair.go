package endpoint

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/mutagen-io/mutagen/pkg/synchronization/core"

	"paude/sync/report"
)

// pair is where the two ends of one session meet: the controller scans both in each cycle, and the pod's side wants
// the laptop's tree of the same cycle.
type pair struct{ trees chan *core.Entry }

var (
	pairsLock sync.Mutex
	pairs     = map[string]*pair{}
	reports   = map[string]*report.File{}
)

// meet gives the pair and the report of a session. Both ends are made anew together, so what an earlier cycle left is
// thrown away by the laptop's side.
func meet(session string) (*pair, *report.File, error) {
	pairsLock.Lock()
	defer pairsLock.Unlock()
	if known, ok := pairs[session]; ok {
		return known, reports[session], nil
	}
	file, err := report.Open(session)
	if err != nil {
		return nil, nil, err
	}
	pairs[session], reports[session] = &pair{make(chan *core.Entry, 1)}, file
	return pairs[session], file, nil
}

// put leaves the laptop's tree, nil when it could not be read, instead of an older one.
func (p *pair) put(tree *core.Entry) {
	select {
	case <-p.trees:
	default:
	}
	p.trees <- tree
}

// take waits for the laptop's tree; nil when the scan is given up.
func (p *pair) take(ctx context.Context) *core.Entry {
	select {
	case tree := <-p.trees:
		return tree
	case <-ctx.Done():
		return nil
	}
}

func sorted(held []report.Held) []report.Held {
	slices.SortFunc(held, func(a, b report.Held) int { return cmp.Compare(a.Path, b.Path) })
	return append([]report.Held{}, held...)
}

func sortedStrings(list []string) []string {
	slices.Sort(list)
	return list
}
