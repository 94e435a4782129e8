package endpoint

import (
	"context"
	"strings"
	"time"

	"github.com/mutagen-io/mutagen/pkg/synchronization/core"

	"paude/sync/guard"
	"paude/sync/report"
)

// judge goes through what the controller wants to change on the laptop and takes out what is held, whatever the other
// end claimed and however it came to be planned. It returns the changes that may be made and their places in the list.
type judge struct {
	ignored func(path string, directory bool) bool
	refused []report.Held
}

func (j *judge) allowed(changes []*core.Change) ([]*core.Change, []int) {
	var allowed []*core.Change
	var places []int
	for i, c := range changes {
		if j.refuses(c) {
			j.refused = append(j.refused, report.Held{Path: c.Path, Change: change(c.Old, c.New), Why: "guard"})
			continue
		}
		allowed = append(allowed, &core.Change{Path: c.Path, Old: c.Old, New: j.prune(c.Path, c.New)})
		places = append(places, i)
	}
	return allowed, places
}

func (j *judge) refuses(c *core.Change) bool {
	return guard.Path(c.Path) || guard.Entry(c.New) || j.below(c.Path, c.New) || holds(c.Old)
}

// below says that the path, or a directory above it, is held back on the laptop.
func (j *judge) below(path string, entry *core.Entry) bool {
	for i, r := range path {
		if r == '/' && j.ignored(path[:i], true) {
			return true
		}
	}
	return path != "" && entry != nil && j.ignored(path, directory(entry))
}

// holds says that something held lies in what would be replaced or removed.
func holds(e *core.Entry) bool {
	for name, child := range contents(e) {
		if guard.Name(name) || holds(child) {
			return true
		}
	}
	return false
}

// prune gives the entry without what is held in it.
func (j *judge) prune(path string, e *core.Entry) *core.Entry {
	if !directory(e) {
		return e
	}
	kept := make(map[string]*core.Entry, len(e.Contents))
	for name, child := range e.Contents {
		p := join(path, name)
		if guard.Name(name) || guard.Entry(child) || j.ignored(p, directory(child)) {
			j.refused = append(j.refused, report.Held{Path: p, Change: "new", Why: "guard"})
			continue
		}
		kept[name] = j.prune(p, child)
	}
	return &core.Entry{Kind: core.EntryKind_Directory, Contents: kept}
}

// Transition makes the changes that the judge allows; for the others the answer is that nothing changed.
func (e *laptop) Transition(ctx context.Context, changes []*core.Change) ([]*core.Entry, []*core.Problem, bool, error) {
	j := &judge{ignored: e.ignored}
	allowed, places := j.allowed(changes)
	results := make([]*core.Entry, len(changes))
	for i, c := range changes {
		results[i] = c.Old
	}
	if len(j.refused) > 0 {
		e.refuse(j.refused)
	}
	if len(allowed) == 0 {
		return results, nil, false, nil
	}
	made, problems, missing, err := e.watched.Transition(ctx, allowed)
	for k, entry := range made {
		results[places[k]] = entry
		e.flag(allowed[k], entry)
	}
	return results, problems, missing, err
}

// flag notes what came out that tools on the laptop may run.
func (e *laptop) flag(c *core.Change, made *core.Entry) {
	if !made.Equal(c.New, true) {
		return
	}
	var came []report.Flagged
	now := time.Now().UTC().Format(time.RFC3339)
	for _, d := range core.Diff(c.Old, c.New) {
		path := c.Path
		if d.Path != "" {
			path = join(path, d.Path)
		}
		each(path, d.New, func(p string) {
			if guard.Flagged(p) {
				came = append(came, report.Flagged{Path: p, Change: change(d.Old, d.New), Time: now})
			}
		})
	}
	if len(came) > 0 {
		e.tell(func(content *report.Content) {
			for _, one := range came {
				content.Flag(one)
			}
		})
	}
}

// each gives the paths of all files and links of an entry.
func each(path string, e *core.Entry, do func(string)) {
	if e != nil && !directory(e) {
		do(path)
	}
	for name, child := range contents(e) {
		each(join(path, name), child, do)
	}
}

func (e *laptop) refuse(refused []report.Held) {
	paths := make([]string, len(refused))
	for i, r := range refused {
		paths[i] = r.Path
	}
	e.log("the guard refused %d changes: %q", len(refused), strings.Join(paths[:min(len(paths), 10)], " "))
}
