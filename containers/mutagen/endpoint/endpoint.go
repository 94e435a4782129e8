// Package endpoint wraps the two ends of a session: the laptop's side judges what is written to it, and the pod's side is
// seen through the veil.
package endpoint

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/mutagen-io/mutagen/pkg/synchronization"
	"github.com/mutagen-io/mutagen/pkg/synchronization/core"

	"paude/sync/local"
	"paude/sync/report"
	"paude/sync/repository"
	"paude/sync/watch"
)

// watched is an endpoint of a session, with what paude knows of it.
type watched struct {
	synchronization.Endpoint
	ignored func(path string, directory bool) bool
	report  *report.File
	pair    *pair
	name    string
	side    string // laptop or pod

	limits limits
	large  map[string][]byte // the digests of what is larger than a file may be, by path
	last   *core.Snapshot    // nil when nothing is known
	braked *report.Brake     // by the last transition

	removing removing
}

// laptop is the alpha side.
type laptop struct {
	*watched
	repository repository.Repository
}

// pod is the beta side. Nothing is asked of it that is known here.
type pod struct {
	*watched
	changed bool // it is no longer as last says

	compared compared // in this cycle
}

// Poll returns when the end is not as the controller believes.
func (e *watched) Poll(ctx context.Context) error {
	e.tell(func(c *report.Content) { c.Brake(e.side, e.braked) })
	e.braked = nil
	return e.Endpoint.Poll(ctx)
}

func (e *watched) Transition(ctx context.Context, changes []*core.Change) ([]*core.Entry, []*core.Problem, bool, error) {
	if e.pair.why != "" {
		return fenced(changes)
	}
	if e.braked = e.brake(changes); e.braked != nil {
		return stopped(changes, e.braked)
	}
	return e.explained(e.Endpoint.Transition(ctx, changes))
}

func (e *watched) log(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, "paude: %s: %s\n", e.name, fmt.Sprintf(format, arguments...))
}

func (e *watched) tell(change func(*report.Content)) {
	if err := e.report.Update(change); err != nil {
		e.log("cannot write its report: %v", err)
	}
}

// Poll of the pod begins when a cycle has ended well. While the fence is shut it ends by itself from time to time.
func (e *pod) Poll(ctx context.Context) error {
	settled := time.Now().UTC().Format(time.RFC3339Nano)
	told := make(chan struct{})
	go func() { // beside the wait for the next change
		defer close(told)
		conflicts := e.compared.conflicts()
		e.tell(func(c *report.Content) { c.Settled, c.Conflicts = settled, conflicts })
	}()
	defer func() { <-told }()
	waiting, cancel := ctx, context.CancelFunc(func() {})
	if e.pair.why != "" {
		waiting, cancel = context.WithTimeout(ctx, fencedEach)
	}
	defer cancel()
	err := e.watched.Poll(waiting)
	e.changed = e.changed || ctx.Err() == nil
	return err
}

// Transition of the pod leaves it as its results say, or in a state that nobody knows.
func (e *pod) Transition(ctx context.Context, changes []*core.Change) ([]*core.Entry, []*core.Problem, bool, error) {
	results, problems, missing, err := e.watched.Transition(ctx, changes)
	if err != nil {
		e.last = nil
		return results, problems, missing, err
	}
	if made := local.Made(changes, results); len(made) > 0 && e.last != nil {
		content, err := core.Apply(e.last.Content, made)
		e.last, e.changed = counted(showing(e.last, content)), e.changed || err != nil
	}
	return results, problems, missing, nil
}

// scan asks the pod only when something changed there: its answer is as long as its tree.
func (e *pod) scan(ctx context.Context, ancestor *core.Entry, full bool) (*core.Snapshot, error, bool) {
	if !full && !e.changed && e.last != nil {
		return e.last, nil, false
	}
	snapshot, err, again := e.Endpoint.Scan(ctx, ancestor, full)
	if e.last, e.changed = snapshot, false; err != nil {
		e.last = nil
	}
	return snapshot, err, again
}

// Scan of the laptop also hands its tree to the pod's side, which compares with it.
func (e *laptop) Scan(ctx context.Context, ancestor *core.Entry, full bool) (*core.Snapshot, error, bool) {
	var snapshot *core.Snapshot
	var err error
	var again bool
	head := e.repository.Between(ctx, func() { snapshot, err, again = e.Endpoint.Scan(ctx, ancestor, full) })
	e.last = snapshot
	e.pair.put(seen{snapshot.GetContent(), head})
	return snapshot, err, again
}

// Scan of the pod shows its tree through the veil.
func (e *pod) Scan(ctx context.Context, ancestor *core.Entry, full bool) (*core.Snapshot, error, bool) {
	snapshot, err, again := e.scan(ctx, ancestor, full)
	laptop := e.pair.take(ctx)
	if err != nil {
		return snapshot, err, again
	}
	content, head := repository.Take(snapshot.Content)
	content, state := local.TakeState(content)
	e.pair.why = e.pair.fence.look(laptop.head, head)
	if snapshot.TotalFileSize > e.limits.Bytes {
		return nil, fmt.Errorf("the tree holds %d bytes, more than the %d allowed", snapshot.TotalFileSize, e.limits.Bytes), true
	}
	v := &veil{ignored: e.ignored, depth: e.limits.Depth}
	shown := v.directory("", ancestor, laptop.tree, content)
	e.compared = compared{ancestor, laptop.tree, shown}
	e.tell(func(c *report.Content) {
		c.Held, c.Fence = sorted(v.held), e.pair.why
		c.Locked, c.Remote = locked(laptop.head, head), state
	})
	return showing(snapshot, shown), nil, false
}

// Shutdown of the pod's side ends what it knew of the pod.
func (e *pod) Shutdown() error {
	e.tell(func(c *report.Content) { c.Remote = watch.Down })
	return e.watched.Endpoint.Shutdown()
}

// locked names the ends where no git is at work, and the index has a lock all the same.
func locked(laptop, pod repository.Head) []string {
	var ends []string
	if laptop.Locked {
		ends = append(ends, "laptop")
	}
	if pod.Locked {
		ends = append(ends, "pod")
	}
	return ends
}

// showing gives a snapshot of other content; the given one may be the inner endpoint's own and stays as it is.
func showing(s *core.Snapshot, content *core.Entry) *core.Snapshot {
	return &core.Snapshot{
		Content:                content,
		PreservesExecutability: s.PreservesExecutability,
		DecomposesUnicode:      s.DecomposesUnicode,
		Directories:            s.Directories,
		Files:                  s.Files,
		SymbolicLinks:          s.SymbolicLinks,
		TotalFileSize:          s.TotalFileSize,
	}
}

// counted counts what a snapshot shows; the bytes of its files it does not know.
func counted(s *core.Snapshot) *core.Snapshot {
	s.Directories, s.Files, s.SymbolicLinks = 0, 0, 0
	plain, _ := repository.Take(s.Content)
	plain, _ = local.TakeState(plain)
	count(s, plain)
	return s
}

func count(s *core.Snapshot, e *core.Entry) {
	switch {
	case directory(e):
		s.Directories++
	case isFile(e):
		s.Files++
	case e.GetKind() == core.EntryKind_SymbolicLink:
		s.SymbolicLinks++
	}
	for _, child := range contents(e) {
		count(s, child)
	}
}

// compared are the trees that the controller reconciles.
type compared struct{ ancestor, laptop, pod *core.Entry }

// conflicts gives the paths of all, for mutagen's own list is a short one.
func (c compared) conflicts() []string {
	_, _, _, conflicts := core.Reconcile(c.ancestor, c.laptop, c.pod, core.SynchronizationMode_SynchronizationModeTwoWaySafe)
	roots := make([]string, 0, len(conflicts))
	for _, c := range conflicts[:min(len(conflicts), longestList)] {
		roots = append(roots, c.Root)
	}
	return sortedStrings(roots)
}
