package endpoint

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/mutagen-io/mutagen/pkg/synchronization/core"

	"paude/sync/report"
	"paude/sync/repository"
)

// pair is where the two ends of one session meet: the controller scans both in each cycle, and the pod's side wants
// the laptop's tree of the same cycle. Why is what keeps files from travelling in this one.
type pair struct {
	seen  chan seen
	fence fence
	why   string
}

// seen is the laptop's tree, and what was checked out in it.
type seen struct {
	tree *core.Entry
	head repository.Head
}

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
	pairs[session], reports[session] = &pair{seen: make(chan seen, 1), fence: fence{shut: file.Fenced()}}, file
	return pairs[session], file, nil
}

// put leaves what was seen of the laptop, no tree when it could not be read, instead of an older one.
func (p *pair) put(one seen) {
	select {
	case <-p.seen:
	default:
	}
	p.seen <- one
}

// take waits for it; nothing when the scan is given up.
func (p *pair) take(ctx context.Context) seen {
	select {
	case one := <-p.seen:
		return one
	case <-ctx.Done():
		return seen{}
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
