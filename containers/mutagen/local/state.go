package local

import (
	"maps"

	"github.com/mutagen-io/mutagen/pkg/filesystem"
	"github.com/mutagen-io/mutagen/pkg/synchronization/core"

	"paude/sync/watch"
)

// blind is the entry by which a tree says that its changes are not noticed; no sync takes such a name for a file's.
const blind = filesystem.TemporaryNamePrefix + "paude-polled"

// PutState gives the tree with that in it, where it is so.
func (e *Endpoint) PutState(tree *core.Entry) *core.Entry {
	if e.watcher.Live() || tree == nil || tree.Kind != core.EntryKind_Directory {
		return tree
	}
	contents := maps.Clone(tree.Contents)
	if contents == nil {
		contents = map[string]*core.Entry{}
	}
	contents[blind] = &core.Entry{Kind: core.EntryKind_SymbolicLink, Target: watch.Polling}
	return &core.Entry{Kind: tree.Kind, Contents: contents}
}

// TakeState gives the tree without it, and what it said.
func TakeState(tree *core.Entry) (*core.Entry, watch.State) {
	if tree.GetContents()[blind] == nil {
		return tree, watch.Watching
	}
	contents := maps.Clone(tree.Contents)
	delete(contents, blind)
	return &core.Entry{Kind: tree.Kind, Contents: contents}, watch.Polling
}
