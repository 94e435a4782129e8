package endpoint

import (
	"strings"

	"github.com/mutagen-io/mutagen/pkg/synchronization/core"

	"paude/sync/guard"
	"paude/sync/report"
)

// longestList bounds the report, whatever the other end invents.
const longestList = 10_000

// veil shows the pod's tree as the controller may see it: what is held looks as it did when both sides last agreed, or
// as it is on the laptop now if the pod has just that. So nothing held is ever planned, staged or sent, and no cycle is
// disturbed by it. The guard in Transition stays the last judge.
type veil struct {
	ignored func(path string, directory bool) bool
	depth   int // 0: any
	held    []report.Held
}

// directory shows one directory; any of the three may be nil or no directory.
func (v *veil) directory(path string, ancestor, laptop, pod *core.Entry) *core.Entry {
	if !directory(pod) {
		return v.replaced(path, ancestor, laptop, pod)
	}
	shown := pod
	for name, child := range pod.Contents {
		seen := v.entry(path, name, in(ancestor, name), in(laptop, name), child)
		shown = with(shown, pod, name, seen)
	}
	for name, child := range contents(ancestor) {
		if pod.Contents[name] == nil {
			seen := v.entry(path, name, child, in(laptop, name), nil)
			shown = with(shown, pod, name, seen)
		}
	}
	return shown
}

// replaced: where the pod has no directory (any more), what it held there is kept.
func (v *veil) replaced(path string, ancestor, laptop, pod *core.Entry) *core.Entry {
	kept := map[string]*core.Entry{}
	for name, child := range contents(ancestor) {
		if seen := v.entry(path, name, child, in(laptop, name), nil); seen != nil {
			kept[name] = seen
		}
	}
	if len(kept) == 0 {
		return pod
	}
	if pod != nil {
		v.hold(path, ancestor, pod, "guard")
		return ancestor
	}
	return &core.Entry{Kind: core.EntryKind_Directory, Contents: kept}
}

// entry shows one entry of a directory. Its path is put together only where that is asked for: a tree has many entries.
func (v *veil) entry(parent, name string, ancestor, laptop, pod *core.Entry) *core.Entry {
	if why := v.reason(parent, name, ancestor, laptop, pod); why != "" {
		return v.withheld(join(parent, name), ancestor, laptop, pod, why)
	}
	if !directory(pod) && !directory(ancestor) {
		return pod
	}
	return v.directory(join(parent, name), ancestor, laptop, pod)
}

// withheld shows what is held: all of it below a held directory.
func (v *veil) withheld(path string, ancestor, laptop, pod *core.Entry, why string) *core.Entry {
	if untracked(pod) && ancestor == nil {
		return pod
	}
	if pod.Equal(laptop, true) || pod.Equal(ancestor, true) {
		return pod
	}
	known := ancestor
	if known == nil {
		known = laptop
	}
	if !directory(pod) || !directory(known) {
		v.hold(path, ancestor, pod, why)
		return ancestor
	}
	shown := &core.Entry{Kind: core.EntryKind_Directory, Contents: map[string]*core.Entry{}}
	for name := range union(pod.Contents, contents(ancestor)) {
		seen := v.withheld(join(path, name), in(ancestor, name), in(laptop, name), in(pod, name), why)
		if seen != nil {
			shown.Contents[name] = seen
		}
	}
	return shown
}

func union(one, other map[string]*core.Entry) map[string]bool {
	names := make(map[string]bool, len(one)+len(other))
	for name := range one {
		names[name] = true
	}
	for name := range other {
		names[name] = true
	}
	return names
}

// reason says why an entry is held, or nothing.
func (v *veil) reason(parent, name string, ancestor, laptop, pod *core.Entry) string {
	if guard.Name(name) || guard.Entry(pod) {
		return "guard"
	}
	if v.depth > 0 && parent != "" && strings.Count(parent, "/")+1 >= v.depth {
		return "depth"
	}
	fresh := pod != nil && !untracked(pod) && !pod.Equal(laptop, false) && !pod.Equal(ancestor, false)
	if fresh && v.ignored(join(parent, name), directory(pod)) {
		return "ignored"
	}
	return ""
}

// hold notes how the pod's entry differs from what both sides last agreed on.
func (v *veil) hold(path string, ancestor, pod *core.Entry, why string) {
	for _, c := range core.Diff(ancestor, pod) {
		if len(v.held) >= longestList {
			return
		}
		where := path
		if c.Path != "" {
			where = join(path, c.Path)
		}
		v.held = append(v.held, report.Held{Path: where, Change: change(c.Old, c.New), Why: why})
	}
}

func change(ancestor, pod *core.Entry) string {
	switch {
	case ancestor == nil:
		return "new"
	case pod == nil:
		return "deleted"
	}
	return "changed"
}

// with sets one entry of shown, which is copied first when it is still the pod's own.
func with(shown, pod *core.Entry, name string, entry *core.Entry) *core.Entry {
	if shown.Contents[name] == entry {
		return shown
	}
	if shown == pod {
		shown = &core.Entry{Kind: core.EntryKind_Directory, Contents: make(map[string]*core.Entry, len(pod.Contents))}
		for n, e := range pod.Contents {
			shown.Contents[n] = e
		}
	}
	if entry == nil {
		delete(shown.Contents, name)
	} else {
		shown.Contents[name] = entry
	}
	return shown
}

// directory: the kind of no entry at all would be that of a directory too.
func directory(e *core.Entry) bool {
	return e != nil && e.Kind == core.EntryKind_Directory
}

func untracked(e *core.Entry) bool {
	return e.GetKind() == core.EntryKind_Untracked
}

func contents(e *core.Entry) map[string]*core.Entry {
	return e.GetContents()
}

func in(e *core.Entry, name string) *core.Entry { return contents(e)[name] }

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "/" + name
}
