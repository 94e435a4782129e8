// Package guard knows what may not come out of the pod. It judges names and entries; it touches no file.
package guard

import (
	_ "embed"
	"path"
	"strings"
	"sync"
	"unicode"

	"github.com/mutagen-io/mutagen/pkg/synchronization/core"
)

//go:embed tier1.txt
var tier1 string

//go:embed tier2.txt
var tier2 string

const cachedNames = 1 << 18

var (
	held    = read(tier1)
	flagged = read(tier2)

	cacheLock sync.Mutex
	cache     = map[string]bool{}
)

// names is one list, as its file says.
type names struct {
	exact      map[string]bool
	patterns   []string
	exceptions map[string]bool
}

func read(list string) names {
	n := names{exact: map[string]bool{}, exceptions: map[string]bool{}}
	for _, line := range strings.Split(list, "\n") {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '!':
			n.exceptions[line[1:]] = true
		case strings.ContainsAny(line, "*?["):
			n.patterns = append(n.patterns, line)
		default:
			n.exact[line] = true
		}
	}
	return n
}

// has says whether a folded name is on the list.
func (n names) has(folded string) bool {
	if n.exact[folded] {
		return true
	}
	if n.exceptions[folded] {
		return false
	}
	for _, pattern := range n.patterns {
		if ok, _ := path.Match(pattern, folded); ok {
			return true
		}
	}
	return false
}

// Name says that one part of a path is of tier 1, in whatever spelling.
func Name(name string) bool {
	cacheLock.Lock()
	defer cacheLock.Unlock()
	if known, ok := cache[name]; ok {
		return known
	}
	if len(cache) >= cachedNames {
		clear(cache)
	}
	cache[name] = judge(name)
	return cache[name]
}

func judge(name string) bool {
	if strings.IndexFunc(name, unicode.IsControl) >= 0 {
		return true
	}
	folded := Fold(name)
	return folded == "" || held.has(folded)
}

// Flagged says that a part of the path is of tier 2: it comes out, and is told, for tools run it when they are called.
func Flagged(p string) bool {
	for _, part := range strings.Split(p, "/") {
		if flagged.has(Fold(part)) {
			return true
		}
	}
	return false
}

// Path says that a part of the slash-separated path is of tier 1.
func Path(p string) bool {
	for _, part := range strings.Split(p, "/") {
		if part != "" && part != "." && part != ".." && Name(part) {
			return true
		}
	}
	return false
}

// Entry says that an entry may not come out for what it is: a link into a held path, or a bare repository.
func Entry(e *core.Entry) bool {
	if e == nil {
		return false
	}
	switch e.Kind {
	case core.EntryKind_SymbolicLink:
		return Path(e.Target)
	case core.EntryKind_Directory:
		return bareRepository(e)
	}
	return false
}

// bareRepository: git obeys a directory that holds these three, whatever its name.
func bareRepository(e *core.Entry) bool {
	var head, objects, refs bool
	for name, child := range e.Contents {
		directory := child != nil && child.Kind == core.EntryKind_Directory
		switch Fold(name) {
		case "head":
			head = head || !directory
		case "objects":
			objects = objects || directory
		case "refs":
			refs = refs || directory
		}
	}
	return head && objects && refs
}
