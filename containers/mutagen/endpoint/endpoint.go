// Package endpoint wraps mutagen's endpoints: Poll returns at once when a watcher saw a change, the laptop's side
// judges what is written to it, and the pod's side is seen through the veil.
package endpoint

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/mutagen-io/mutagen/pkg/synchronization"
	"github.com/mutagen-io/mutagen/pkg/synchronization/core"

	"paude/sync/displace"
	"paude/sync/report"
	"paude/sync/repository"
)

// watched is an endpoint with a watcher of paude's own.
type watched struct {
	synchronization.Endpoint
	stop    context.CancelFunc
	ignored func(path string, directory bool) bool
	report  *report.File
	pair    *pair
	name    string
	side    string // laptop or pod

	repository repository.Repository // the laptop's
	limits     limits
	large      map[string][]byte // the digests of what is larger than a file may be, by path
	mover      *displace.Mover   // nil at an end that is not on this machine

	changed chan struct{} // has room for one: something changed since the last Poll
	dirty   atomic.Bool   // something changed since the last scan
	live    atomic.Bool   // every change is noticed
	used    bool          // files were staged or changed through this endpoint since the last scan
	last    *core.Snapshot
	braked  *report.Brake // by the last transition

	removing removing
}

// laptop is the alpha side, pod the beta side.
type laptop struct{ *watched }
type pod struct{ *watched }

// notice is what the watcher calls.
func (e *watched) notice() {
	e.dirty.Store(true)
	select {
	case e.changed <- struct{}{}:
	default:
	}
}

// Poll returns when mutagen's own endpoint noticed something or our watcher did.
func (e *watched) Poll(ctx context.Context) error {
	e.tell(func(c *report.Content) { c.Brake(e.side, e.braked) })
	e.braked = nil
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- e.Endpoint.Poll(inner) }()
	select {
	case err := <-done:
		if ctx.Err() == nil {
			e.dirty.Store(true)
		}
		return err
	case <-e.changed:
		cancel()
		return <-done
	}
}

// scan looks at the files only when something changed: a scan reads the facts of every file, and at the other end it
// takes a round trip. What changes while it runs makes the next Poll return at once. An endpoint that was used must be
// scanned again, mutagen insists on it; and one whose watcher is not live is always scanned.
func (e *watched) scan(ctx context.Context, ancestor *core.Entry, full bool) (*core.Snapshot, error, bool) {
	changed := e.dirty.Swap(false)
	if !full && !changed && !e.used && e.last != nil && e.live.Load() {
		return e.last, nil, false
	}
	snapshot, err, again := e.Endpoint.Scan(ctx, ancestor, true)
	e.last, e.used = snapshot, false
	if err != nil {
		e.last = nil
		e.dirty.Store(true)
	}
	return snapshot, err, again
}

func (e *watched) Transition(ctx context.Context, changes []*core.Change) ([]*core.Entry, []*core.Problem, bool, error) {
	if e.pair.why != "" {
		return fenced(changes)
	}
	if e.braked = e.brake(changes); e.braked != nil {
		return stopped(changes, e.braked)
	}
	e.used = true
	if e.mover == nil {
		return e.explained(e.Endpoint.Transition(ctx, changes))
	}
	return e.explained(e.mover.Transition(ctx, e.Endpoint, changes))
}

func (e *watched) Shutdown() error {
	e.stop()
	return e.Endpoint.Shutdown()
}

func (e *watched) log(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, "paude: %s: %s\n", e.name, fmt.Sprintf(format, arguments...))
}

func (e *watched) tell(change func(*report.Content)) {
	if err := e.report.Update(change); err != nil {
		e.log("cannot write its report: %v", err)
	}
}

// Poll of the pod begins when a cycle has ended well.
func (e *pod) Poll(ctx context.Context) error {
	e.tell(func(c *report.Content) { c.Settled = time.Now().UTC().Format(time.RFC3339Nano) })
	if e.pair.why != "" {
		defer time.AfterFunc(fencedEach, e.notice).Stop()
	}
	return e.watched.Poll(ctx)
}

// Scan of the laptop also hands its tree to the pod's side, which compares with it.
func (e *laptop) Scan(ctx context.Context, ancestor *core.Entry, full bool) (*core.Snapshot, error, bool) {
	var snapshot *core.Snapshot
	var err error
	var again bool
	head := e.repository.Between(ctx, func() { snapshot, err, again = e.scan(ctx, ancestor, full) })
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
	e.pair.why = e.pair.fence.look(laptop.head, head)
	if snapshot.TotalFileSize > e.limits.Bytes {
		return nil, fmt.Errorf("the tree holds %d bytes, more than the %d allowed", snapshot.TotalFileSize, e.limits.Bytes), true
	}
	v := &veil{ignored: e.ignored, depth: e.limits.Depth}
	shown := v.directory("", ancestor, laptop.tree, content)
	e.tellOf(v.held, ancestor, laptop.tree, shown)
	e.tell(func(c *report.Content) { c.Locked = locked(laptop.head, head) })
	return showing(snapshot, shown), nil, false
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

func (e *pod) tellOf(held []report.Held, ancestor, laptop, pod *core.Entry) {
	_, _, _, conflicts := core.Reconcile(ancestor, laptop, pod, core.SynchronizationMode_SynchronizationModeTwoWaySafe)
	roots := make([]string, 0, len(conflicts))
	for _, c := range conflicts[:min(len(conflicts), longestList)] {
		roots = append(roots, c.Root)
	}
	e.tell(func(c *report.Content) {
		c.Held, c.Conflicts, c.Fence = sorted(held), sortedStrings(roots), e.pair.why
	})
}
