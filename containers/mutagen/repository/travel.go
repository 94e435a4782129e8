package repository

import (
	"strings"

	"github.com/mutagen-io/mutagen/pkg/filesystem"
	"github.com/mutagen-io/mutagen/pkg/synchronization/core"
)

// carrier is the entry in which a tree brings what is checked out, by a name that no sync takes for a file's.
const carrier = filesystem.TemporaryNamePrefix + "paude-head"

// Put gives the tree with what is checked out in it.
func Put(tree *core.Entry, head Head) *core.Entry {
	if !head.Known() || tree.GetKind() != core.EntryKind_Directory || tree == nil {
		return tree
	}
	copied := copyOf(tree)
	copied.Contents[carrier] = &core.Entry{Kind: core.EntryKind_SymbolicLink, Target: head.Commit + " " + head.Ref}
	return copied
}

// Take gives the tree without it, and what it said; words of another form say nothing.
func Take(tree *core.Entry) (*core.Entry, Head) {
	found := tree.GetContents()[carrier]
	if found == nil {
		return tree, Head{}
	}
	copied := copyOf(tree)
	delete(copied.Contents, carrier)
	at, ref, _ := strings.Cut(found.Target, " ")
	if !commit.MatchString(at) || (ref != "" && !branch.MatchString(ref)) {
		return copied, Head{}
	}
	return copied, Head{ref, at}
}

func copyOf(tree *core.Entry) *core.Entry {
	copied := &core.Entry{Kind: tree.Kind, Contents: make(map[string]*core.Entry, len(tree.Contents)+1)}
	for name, child := range tree.Contents {
		copied.Contents[name] = child
	}
	return copied
}
