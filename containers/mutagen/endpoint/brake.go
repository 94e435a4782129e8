package endpoint

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/mutagen-io/mutagen/pkg/filesystem"
	"github.com/mutagen-io/mutagen/pkg/synchronization/core"

	"paude/sync/report"
)

const (
	// fewest: less than that may always go, however much of a small tree it is.
	fewest = 25
	half   = 2
	// window is how long what was removed counts with what comes after it: cycles are short, and see a part of it each.
	window = 10 * time.Second
)

// removing is what was removed at one end since a moment.
type removing struct {
	files int
	since time.Time
}

func (r *removing) recent(now time.Time) int {
	if now.Sub(r.since) > window {
		*r = removing{since: now}
	}
	return r.files
}

// brake stops a transition that would remove very many files, or most of them, until the user has chosen: the removal
// on the other side may be a mistake, or the agent's. What only moved is not removed.
func (e *watched) brake(changes []*core.Change) *report.Brake {
	removed, example := removals(changes)
	files := 0
	if e.last != nil {
		files = int(e.last.Files)
	}
	recent := e.removing.recent(time.Now())
	together := recent + removed
	if removed == 0 || (together <= e.limits.Deletes && (together < fewest || together*half < files+recent)) {
		e.removing.files = together
		return nil
	}
	if e.allowed(removed) {
		e.log("%d files of %s are removed, as the user said", removed, e.side)
		return nil
	}
	return &report.Brake{Side: e.side, Files: removed, Of: files, Example: example}
}

// stopped answers that nothing was changed.
func stopped(changes []*core.Change, b *report.Brake) ([]*core.Entry, []*core.Problem, bool, error) {
	results := make([]*core.Entry, len(changes))
	for i, c := range changes {
		results[i] = c.Old
	}
	problem := &core.Problem{Path: b.Example, Error: fmt.Sprintf("%d files would be removed at once", b.Files)}
	return results, []*core.Problem{problem}, false, nil
}

// removals counts the files whose content is nowhere afterwards, and names one of them.
func removals(changes []*core.Change) (int, string) {
	kept := map[string]int{}
	for _, c := range changes {
		eachFile(c.Path, c.New, func(_ string, e *core.Entry) { kept[string(e.Digest)]++ })
	}
	removed, example := 0, ""
	for _, c := range changes {
		if isFile(c.Old) && isFile(c.New) {
			continue
		}
		eachFile(c.Path, c.Old, func(path string, e *core.Entry) {
			if kept[string(e.Digest)] > 0 {
				kept[string(e.Digest)]--
				return
			}
			if removed++; example == "" || path < example {
				example = path
			}
		})
	}
	return removed, example
}

func eachFile(path string, e *core.Entry, do func(string, *core.Entry)) {
	if isFile(e) {
		do(path, e)
	}
	for name, child := range contents(e) {
		eachFile(join(path, name), child, do)
	}
}

func isFile(e *core.Entry) bool { return e != nil && e.Kind == core.EntryKind_File }

// allowed takes the user's word, which holds for one change of at most so many files.
func (e *watched) allowed(removed int) bool {
	directory, err := filesystem.Mutagen(false, "allowed")
	if err != nil {
		return false
	}
	path := filepath.Join(directory, e.name+".json")
	data, err := os.ReadFile(path)
	word := map[string]int{}
	if err != nil || json.Unmarshal(data, &word) != nil || removed > word[e.side] {
		return false
	}
	return os.Remove(path) == nil
}
