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

const cachedNames = 1 << 18

var (
	exact      = map[string]bool{}
	patterns   []string
	exceptions = map[string]bool{}

	cacheLock sync.Mutex
	cache     = map[string]bool{}
)

func init() {
	for _, line := range strings.Split(tier1, "\n") {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '!':
			exceptions[line[1:]] = true
		case strings.ContainsAny(line, "*?["):
			patterns = append(patterns, line)
		default:
			exact[line] = true
		}
	}
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
	held := judge(name)
	cache[name] = held
	return held
}

func judge(name string) bool {
	if strings.IndexFunc(name, unicode.IsControl) >= 0 {
		return true
	}
	folded := Fold(name)
	if folded == "" || exact[folded] {
		return true
	}
	if exceptions[folded] {
		return false
	}
	for _, pattern := range patterns {
		if ok, _ := path.Match(pattern, folded); ok {
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
