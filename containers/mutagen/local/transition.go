package local

import (
	"context"

	"github.com/mutagen-io/mutagen/pkg/synchronization/core"
)

// Transition makes the changes. What was made the controller believes from then on; the next look tells whether it is so.
func (e *Endpoint) Transition(ctx context.Context, changes []*core.Change) ([]*core.Entry, []*core.Problem, bool, error) {
	defer func() { _ = e.stager.Finalize() }()
	// What changed since the last look must not be taken for what the controller has seen.
	if err := e.look(ctx, false); err != nil {
		e.agrees = false // the next scan tells what is wrong
		return unchanged(changes), nil, false, nil
	}
	results, problems, missing, err := e.mover.Transition(ctx, e.add, changes)
	if err != nil {
		e.agrees = false
		return nil, nil, false, err
	}
	e.believe(Made(changes, results))
	return results, problems, missing, nil
}

// add makes what takes nothing away; when there would be too many entries then nothing of it.
func (e *Endpoint) add(ctx context.Context, changes []*core.Change) ([]*core.Entry, []*core.Problem, bool) {
	count := e.entries()
	for _, c := range changes {
		count += c.New.Count()
	}
	if count > e.rules.most {
		return unchanged(changes), []*core.Problem{{Error: ErrWouldBeMore.Error()}}, false
	}
	r := &e.rules
	return core.Transition(ctx, e.root, changes, e.cache, r.links, r.files, r.directories, r.owner, e.snapshot.DecomposesUnicode, e.stager)
}

// unchanged are the results of changes of which none was made.
func unchanged(changes []*core.Change) []*core.Entry {
	results := make([]*core.Entry, len(changes))
	for i, c := range changes {
		results[i] = c.Old
	}
	return results
}

// Made gives those changes of which something was made, as they came out.
func Made(changes []*core.Change, results []*core.Entry) []*core.Change {
	var made []*core.Change
	for i, c := range changes {
		if !results[i].Equal(c.Old, true) {
			made = append(made, &core.Change{Path: c.Path, New: results[i]})
		}
	}
	return made
}

func (e *Endpoint) believe(made []*core.Change) {
	if len(made) == 0 {
		return
	}
	believed, err := core.Apply(e.believed, made)
	e.believed = believed
	e.agrees = e.agrees && err == nil
}
