// Package ignores answers what mutagen's own ignorer answers, and asks it only about the few patterns that a path may
// match: it tries every pattern on every path, which is most of the first look at a tree.
package ignores

import (
	"strings"

	"github.com/mutagen-io/mutagen/pkg/synchronization/core/ignore"
	mutagenignore "github.com/mutagen-io/mutagen/pkg/synchronization/core/ignore/mutagen"
)

// ignorer has each pattern also as an ignorer of its own: of those that know a path, the last one decides.
type ignorer struct {
	all     ignore.Ignorer
	each    []ignore.Ignorer
	keyed   node
	keyless []int
}

// New gives an ignorer for patterns in mutagen's syntax. It may be asked by several goroutines at once. The errors are
// mutagen's, for a pattern that cannot be read.
func New(patterns []string) (ignore.Ignorer, error) {
	all, err := mutagenignore.NewIgnorer(patterns)
	if err != nil {
		return nil, err
	}
	i := &ignorer{all: all, each: make([]ignore.Ignorer, len(patterns))}
	for at, pattern := range patterns {
		if i.each[at], err = mutagenignore.NewIgnorer(patterns[at : at+1]); err != nil {
			return nil, err
		}
		keys := keysOf(pattern)
		for _, key := range keys {
			i.keyed.put(key, at)
		}
		if keys == nil {
			i.keyless = append(i.keyless, at)
		}
	}
	return i, nil
}

// Ignore is as the interface says; the second value is always false, as mutagen's is.
func (i *ignorer) Ignore(path string, directory bool) (ignore.IgnoreStatus, bool) {
	if strings.HasSuffix(path, "/") { // no walk gives such a path, and its last part is not what it seems
		return i.all.Ignore(path, directory)
	}
	s := search{ignorer: i, path: path, directory: directory, last: -1}
	slash := strings.LastIndexByte(path, '/')
	for start := slash; start < len(path); start++ {
		s.from(start)
	}
	if slash >= 0 {
		s.from(-1)
	}
	for n := len(i.keyless) - 1; n >= 0 && i.keyless[n] > s.last; n-- {
		s.try(i.keyless[n])
	}
	return s.status, false
}

// search is one question, and of the patterns tried so far the last that knows the path, with its answer.
type search struct {
	*ignorer
	path      string
	directory bool
	last      int
	status    ignore.IgnoreStatus
}

// from tries the patterns whose key stands at this place of the path.
func (s *search) from(start int) {
	at := &s.keyed
	for n := start; n <= len(s.path); n++ {
		if at = at.after(s.letter(n)); at == nil {
			return
		}
		for _, pattern := range at.patterns {
			s.try(pattern)
		}
	}
}

// letter is one of the path, which for this purpose stands between slashes.
func (s *search) letter(n int) byte {
	if n < 0 || n == len(s.path) {
		return '/'
	}
	return lower(s.path[n])
}

func (s *search) try(pattern int) {
	if pattern <= s.last {
		return
	}
	if status, _ := s.each[pattern].Ignore(s.path, s.directory); status != ignore.IgnoreStatusNominal {
		s.last, s.status = pattern, status
	}
}

// node is where a beginning of keys has led to: the patterns whose key it is, and what follows.
type node struct {
	patterns []int
	letters  []byte
	next     []*node
}

func (n *node) after(letter byte) *node {
	for at, one := range n.letters {
		if one == letter {
			return n.next[at]
		}
	}
	return nil
}

func (n *node) put(key string, pattern int) {
	for at := range len(key) {
		next := n.after(key[at])
		if next == nil {
			next = &node{}
			n.letters, n.next = append(n.letters, key[at]), append(n.next, next)
		}
		n = next
	}
	n.patterns = append(n.patterns, pattern)
}

func lower(letter byte) byte {
	if 'A' <= letter && letter <= 'Z' {
		return letter + 'a' - 'A'
	}
	return letter
}
