// Package local is an end of the sync on this machine. What is done to files is mutagen's (its scan, its staging, its
// transition) and the mover's; this package knows what the controller believes to be there, and looks only where the
// watcher saw a change, so a change costs what it is and not what the tree is.
package local

import (
	"context"
	"errors"
	"hash"
	"maps"
	"time"

	"github.com/mutagen-io/mutagen/pkg/filesystem"
	"github.com/mutagen-io/mutagen/pkg/synchronization"
	"github.com/mutagen-io/mutagen/pkg/synchronization/core"
	"github.com/mutagen-io/mutagen/pkg/synchronization/endpoint/local/staging"

	"paude/sync/displace"
	"paude/sync/watch"
)

const (
	// burst is how long further changes are waited for before one is looked at.
	burst = 10 * time.Millisecond
	// pollEach is how often everything is looked at where changes are not noticed.
	pollEach = 10 * time.Second
)

// Of a tree with more entries than its session allows, and of one that would have them: `sync/state.py` knows the words.
var (
	ErrTooMany     = errors.New("more entries than allowed")
	ErrWouldBeMore = errors.New("there would be more entries than allowed")
)

// Endpoint implements synchronization.Endpoint. As with mutagen's, one method runs at a time.
type Endpoint struct {
	root    string
	rules   rules
	hasher  hash.Hash
	stager  *staging.Stager
	mover   *displace.Mover
	watcher watch.Watcher
	every   time.Duration // between two looks at everything, where changes are noticed
	saver   *saver
	log     func(string, ...any)

	knows    func(context.Context) (*core.Cache, error) // before the first look
	snapshot *core.Snapshot                             // of the last look, nil before the first
	cache    *core.Cache
	changed  map[string]bool // since then: paths, or with anywhere all of them
	anywhere bool
	whole    time.Time // when everything was looked at

	believed *core.Entry // what the controller takes for the tree
	agrees   bool        // the last look found just that
}

// New opens an end of a session. It closes the watcher when it is shut down.
func New(ctx context.Context, root, session string, version synchronization.Version, configuration *synchronization.Configuration, alpha bool, watcher watch.Watcher, log func(string, ...any)) (*Endpoint, error) {
	root, err := filesystem.Normalize(root)
	if err != nil {
		return nil, err
	}
	rules, err := rulesOf(version, configuration)
	if err != nil {
		return nil, err
	}
	mover, err := displace.New(ctx, root, session, alpha, version, configuration, log)
	if err != nil {
		return nil, err
	}
	staged, err := displace.StagingRoot(session, alpha)
	if err != nil {
		return nil, err
	}
	saver, cache, err := openCache(session, alpha)
	if err != nil {
		return nil, err
	}
	return &Endpoint{
		root: root, rules: rules, hasher: rules.hasher(), mover: mover, watcher: watcher, every: rules.every, saver: saver, cache: cache, changed: map[string]bool{}, log: log,
		stager: staging.NewStager(staged, false, rules.largest, rules.hasher),
	}, nil
}

// look brings the snapshot up to date: with whole, or where changes are not noticed, by looking at everything.
func (e *Endpoint) look(ctx context.Context, whole bool) error {
	live := e.watcher.Live() // before what it noted: that it is no longer live is noted after it
	paths, any := e.watcher.Take()
	maps.Copy(e.changed, paths) // a look that is given up leaves them to the next one
	e.anywhere = e.anywhere || any || !live || e.snapshot == nil
	switch {
	case whole || e.anywhere:
		return e.lookAt(ctx, nil, nil)
	case len(e.changed) > 0:
		return e.lookAt(ctx, e.snapshot, e.changed)
	}
	return nil
}

// lookAt looks at the paths, and takes all else from the baseline; at everything without one.
func (e *Endpoint) lookAt(ctx context.Context, baseline *core.Snapshot, paths map[string]bool) error {
	e.learn(ctx)
	began := time.Now()
	r := &e.rules
	// Without what it knew of ignored paths: the rules answer faster than a look at all of it can be copied.
	snapshot, cache, _, err := core.Scan(ctx, e.root, baseline, paths, e.hasher, e.cache, r.ignorer, nil, r.probe, r.links, r.permissions)
	if err != nil {
		e.anywhere = e.anywhere || !errors.Is(err, core.ErrScanCancelled)
		return err
	}
	if baseline == nil {
		e.whole = began
	}
	e.snapshot, e.cache = snapshot, cache
	e.changed, e.anywhere = map[string]bool{}, false
	e.saver.save(cache)
	if e.agrees = snapshot.Content.Equal(e.believed, true); e.agrees {
		e.believed = snapshot.Content
	}
	return nil
}

// Knows lets the first look take over what others know of the files, where nothing is known of an earlier one. They
// may take their time.
func (e *Endpoint) Knows(knows func(context.Context) (*core.Cache, error)) {
	if len(e.cache.GetEntries()) == 0 && e.rules.sha1 {
		e.knows = knows
	}
}

// learn: what cannot be learned is read.
func (e *Endpoint) learn(ctx context.Context) {
	if e.knows == nil {
		return
	}
	cache, err := e.knows(ctx)
	if ctx.Err() != nil {
		return
	}
	e.knows = nil
	if err != nil {
		e.log("what is known of the files is of no use: %v", err)
		return
	}
	e.cache = cache
}

// Scan gives the tree as it is. From then on the controller believes in it.
func (e *Endpoint) Scan(ctx context.Context, _ *core.Entry, full bool) (*core.Snapshot, error, bool) {
	if err := e.look(ctx, full); err != nil {
		return nil, err, !errors.Is(err, core.ErrScanCancelled)
	}
	if e.entries() > e.rules.most {
		return nil, ErrTooMany, true
	}
	e.believed, e.agrees = e.snapshot.Content, true
	return e.snapshot, nil, false
}

// Poll returns when the tree is not what the controller believes, or cannot be looked at.
func (e *Endpoint) Poll(ctx context.Context) error {
	for e.agrees {
		whole, wanted := e.wait(ctx)
		looking := ctx
		if !whole { // a short one is ended, for a scan would begin it again
			looking = context.WithoutCancel(ctx)
		}
		if !wanted || e.look(looking, whole) != nil {
			return nil
		}
	}
	return nil
}

// wait returns when it is time for a look, and says whether it is to be at everything, or that none is wanted any more.
func (e *Endpoint) wait(ctx context.Context) (bool, bool) {
	pause := e.every
	if !e.watcher.Live() {
		pause = pollEach
	}
	due := time.NewTimer(time.Until(e.whole.Add(pause)))
	defer due.Stop()
	select {
	case <-ctx.Done():
		return false, false
	case <-due.C:
		return true, true
	case <-e.watcher.Changed():
	}
	select {
	case <-ctx.Done():
		return false, false
	case <-time.After(burst):
		return false, true
	}
}

// entries counts what is synchronized.
func (e *Endpoint) entries() uint64 {
	if e.snapshot == nil {
		return 0
	}
	return e.snapshot.Directories + e.snapshot.Files + e.snapshot.SymbolicLinks
}

// Shutdown ends the watch, and keeps what is known of the files for the next time.
func (e *Endpoint) Shutdown() error {
	e.watcher.Close()
	e.saver.close()
	return nil
}

var _ synchronization.Endpoint = (*Endpoint)(nil)
