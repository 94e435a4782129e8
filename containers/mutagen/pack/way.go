package pack

import (
	"path"
	"strings"
	"sync/atomic"

	"github.com/mutagen-io/mutagen/pkg/filesystem"
)

// way is the directories from the root to where the paths have come, each opened by its name in the one above and never
// through a link: an agent may put one in the place of a directory at any moment, and it would lead to what stays here.
type way []*place

// place is a directory that is open for as long as somebody holds it.
type place struct {
	*filesystem.Directory
	path    string
	holders atomic.Int32
}

func from(root string) (way, error) {
	directory, _, err := filesystem.OpenDirectory(root, true)
	if err != nil {
		return nil, err
	}
	return way{held(directory, "")}, nil
}

func held(directory *filesystem.Directory, path string) *place {
	p := &place{Directory: directory, path: path}
	p.holders.Store(1)
	return p
}

func (p *place) release() {
	if p.holders.Add(-1) == 0 {
		p.Close()
	}
}

// to gives the directory that holds what is at a path, held for the caller too.
func (w *way) to(entry string) (*place, error) {
	parent := path.Dir(entry)
	if parent == "." {
		parent = ""
	}
	for !w.last().holds(parent) {
		w.leave()
	}
	for w.last().path != parent {
		above := w.last()
		name, _, _ := strings.Cut(strings.TrimPrefix(parent[len(above.path):], "/"), "/")
		directory, err := above.OpenDirectory(name)
		if err != nil {
			return nil, err
		}
		*w = append(*w, held(directory, path.Join(above.path, name)))
	}
	w.last().holders.Add(1)
	return w.last(), nil
}

// holds says whether a directory is this one or lies in it.
func (p *place) holds(directory string) bool {
	return p.path == "" || directory == p.path || strings.HasPrefix(directory, p.path+"/")
}

func (w *way) last() *place { return (*w)[len(*w)-1] }

func (w *way) leave() {
	w.last().release()
	*w = (*w)[:len(*w)-1]
}

func (w *way) end() {
	for len(*w) > 0 {
		w.leave()
	}
}
