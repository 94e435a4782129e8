// Package watch notices changes below a directory of this machine, and keeps what it noticed until somebody looks.
package watch

import (
	"path/filepath"
	"strings"
	"sync"

	"github.com/mutagen-io/mutagen/pkg/filesystem"
)

// many is how many changed paths are kept apart; a look at more of them is one at everything.
const many = 2000

// State is what a watcher says of itself.
type State = string

// The states: Watching notices every change; with Polling it cannot, because the system allows no more watches or the
// directory is not there; Down is a program that has to be started again.
const (
	Watching State = "watching"
	Polling  State = "polling"
	Down     State = "down"
)

// Skip says of a path relative to the root that neither it nor what is below it matters.
type Skip func(relative string, directory bool) bool

// Watcher is what notices changes below one directory. Changed has room for one signal. Take gives the paths that
// changed since it was asked last, or that any may have: at first any has. What a Live one does not name is as it was.
type Watcher interface {
	Changed() <-chan struct{}
	Take() (paths map[string]bool, any bool)
	Live() bool
	Close()
}

// notes are what was noticed and nobody has looked at.
type notes struct {
	lock    sync.Mutex
	paths   map[string]bool
	any     bool
	changed chan struct{}
}

func newNotes() *notes {
	return &notes{paths: map[string]bool{}, any: true, changed: make(chan struct{}, 1)}
}

// path notes one, relative to the root.
func (n *notes) path(relative string) {
	n.lock.Lock()
	defer n.lock.Unlock()
	if n.any = n.any || len(n.paths) >= many; !n.any {
		n.paths[relative] = true
	}
	n.signal()
}

// anything notes that every path may have changed.
func (n *notes) anything() {
	n.lock.Lock()
	defer n.lock.Unlock()
	n.any = true
	n.signal()
}

func (n *notes) signal() {
	select {
	case n.changed <- struct{}{}:
	default:
	}
}

func (n *notes) take() (map[string]bool, bool) {
	n.lock.Lock()
	defer n.lock.Unlock()
	paths, any := n.paths, n.any
	n.paths, n.any = map[string]bool{}, false
	if any {
		return nil, true
	}
	return paths, false
}

// Changed gives a signal when something was noted.
func (n *notes) Changed() <-chan struct{} { return n.changed }

// temporary says that the sync itself writes there, beside the files.
func temporary(path string) bool {
	return strings.HasPrefix(filepath.Base(path), filesystem.TemporaryNamePrefix)
}
