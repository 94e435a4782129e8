//go:build !linux

package watch

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"

	"github.com/fsnotify/fsnotify"
)

// pendingEvents is how many events are kept while nobody takes them.
const pendingEvents = 8192

// directories are watched one by one. Which paths changed is not told: the order of what is heard and what is read is
// not sure here.
type directories struct {
	*notes
	root    string
	skip    Skip
	tell    func(State)
	watcher *fsnotify.Watcher
	live    atomic.Bool
	done    chan struct{}
}

// Local watches root until it is closed; tell hears how it does.
func Local(root string, skip Skip, tell func(State)) (Watcher, error) {
	watcher, err := fsnotify.NewBufferedWatcher(pendingEvents)
	if err != nil {
		return nil, err
	}
	d := &directories{notes: newNotes(), root: root, skip: skip, tell: tell, watcher: watcher, done: make(chan struct{})}
	d.become(d.add(root))
	go d.follow()
	return d, nil
}

func (d *directories) Take() (map[string]bool, bool) {
	paths, any := d.take()
	return nil, any || len(paths) > 0
}

func (d *directories) Live() bool { return d.live.Load() }

func (d *directories) Close() {
	d.watcher.Close()
	<-d.done
}

func (d *directories) become(err error) {
	state := Watching
	if err != nil {
		state = Polling
	}
	if d.live.Swap(state == Watching) != (state == Watching) || state == Polling {
		d.tell(state)
	}
}

func (d *directories) follow() {
	defer close(d.done)
	for {
		select {
		case err, open := <-d.watcher.Errors:
			if !open {
				return
			}
			d.anything()
			if errors.Is(err, fsnotify.ErrEventOverflow) {
				err = d.add(d.root)
			}
			d.become(err)
		case event, open := <-d.watcher.Events:
			if !open {
				return
			}
			d.one(event)
		}
	}
}

func (d *directories) one(event fsnotify.Event) {
	relative, err := filepath.Rel(d.root, event.Name)
	if err != nil || temporary(relative) {
		return
	}
	info, err := os.Lstat(event.Name)
	directory := err == nil && info.IsDir()
	if relative != "." && (d.skip(relative, directory) || (err != nil && d.skip(relative, true))) {
		return
	}
	if directory && event.Has(fsnotify.Create) {
		if err := d.add(event.Name); err != nil {
			d.become(err)
		}
	}
	d.anything()
}

// add watches a directory before it reads it, so that nothing that comes in between is missed.
func (d *directories) add(top string) error {
	return filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return nil
		}
		relative, err := filepath.Rel(d.root, path)
		if err == nil && relative != "." && d.skip(relative, true) {
			return filepath.SkipDir
		}
		return unlessGone(d.watcher.Add(path))
	})
}

func unlessGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.ENOTDIR) {
		return nil
	}
	return err
}
