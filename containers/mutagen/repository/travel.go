package repository

import (
	"strings"

	"github.com/mutagen-io/mutagen/pkg/filesystem"
	"github.com/mutagen-io/mutagen/pkg/synchronization/core"
)

const (
	// carrier is the entry in which a tree brings what is checked out, by a name that no sync takes for a file's.
	carrier = filesystem.TemporaryNamePrefix + "paude-head"
	locked  = "locked"
)

// Put gives the tree with what is checked out in it.
func Put(tree *core.Entry, head Head) *core.Entry {
	if !head.Known() || tree.GetKind() != core.EntryKind_Directory || tree == nil {
		return tree
	}
	copied := copyOf(tree)
	words := head.Commit + " " + head.Ref
	if head.Locked {
		words += " " + locked
	}
	copied.Contents[carrier] = &core.Entry{Kind: core.EntryKind_SymbolicLink, Target: words}
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
	at, rest, _ := strings.Cut(found.Target, " ")
	ref, state, _ := strings.Cut(rest, " ")
	if !commit.MatchString(at) || (ref != "" && !branch.MatchString(ref)) {
		return copied, Head{}
	}
	return copied, Head{Ref: ref, Commit: at, Locked: state == locked}
}

func copyOf(tree *core.Entry) *core.Entry {
	copied := &core.Entry{Kind: tree.Kind, Contents: make(map[string]*core.Entry, len(tree.Contents)+1)}
	for name, child := range tree.Contents {
		copied.Contents[name] = child
	}
	return copied
}
