// Package watch notices changes: below a local directory, and through the gate's own watcher at the other end.
package watch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// burst is how long further changes are gathered before one signal is given.
	burst = 20 * time.Millisecond
	// pendingEvents is how many events the kernel's queue is drained into while a burst is gathered.
	pendingEvents = 8192
	// temporary begins the names that the sync agent itself writes beside the files.
	temporary = ".mutagen-temporary-"
)

// ErrLimit is given when the system allows no more watches: the caller goes on by polling.
var ErrLimit = errors.New("the system's limit of file watches is reached (fs.inotify.max_user_watches)")

// Skip says of a path relative to the root that its changes do not matter.
type Skip func(relative string, directory bool) bool

type local struct {
	root    string
	skip    Skip
	watcher *fsnotify.Watcher
}

// Local calls changed after each burst of changes below root, until the context ends, and armed once, when every
// directory is watched. It returns ErrLimit when there are more directories than watches.
func Local(ctx context.Context, root string, skip Skip, changed, armed func()) error {
	watcher, err := fsnotify.NewBufferedWatcher(pendingEvents)
	if err != nil {
		return limited(err)
	}
	defer watcher.Close()
	w := &local{root, skip, watcher}
	if err := w.add(root); err != nil {
		return err
	}
	changed() // what came before every directory was watched
	armed()
	for ctx.Err() == nil {
		relevant, err := w.next(ctx)
		if err != nil {
			return err
		}
		if relevant {
			changed()
		}
	}
	return nil
}

// next takes one burst and says whether any of it matters.
func (w *local) next(ctx context.Context) (bool, error) {
	select {
	case <-ctx.Done():
		return false, nil
	case err := <-w.watcher.Errors:
		return true, w.recover(err)
	case event := <-w.watcher.Events:
		relevant, err := w.take(event)
		if err != nil || !relevant {
			return relevant, err
		}
	}
	return true, w.gather(ctx)
}

func (w *local) gather(ctx context.Context) error {
	end := time.NewTimer(burst)
	defer end.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-end.C:
			return nil
		case err := <-w.watcher.Errors:
			return w.recover(err)
		case event := <-w.watcher.Events:
			if _, err := w.take(event); err != nil {
				return err
			}
		}
	}
}

// recover watches everything again when the kernel dropped events.
func (w *local) recover(err error) error {
	if errors.Is(err, fsnotify.ErrEventOverflow) {
		return w.add(w.root)
	}
	return limited(err)
}

// take follows one event into a new directory.
func (w *local) take(event fsnotify.Event) (bool, error) {
	relative, err := filepath.Rel(w.root, event.Name)
	if err != nil || strings.HasPrefix(filepath.Base(event.Name), temporary) {
		return false, nil
	}
	info, err := os.Lstat(event.Name)
	directory := err == nil && info.IsDir()
	if relative != "." && (w.skip(relative, directory) || (err != nil && w.skip(relative, true))) {
		return false, nil
	}
	if directory && event.Has(fsnotify.Create) {
		return true, w.add(event.Name)
	}
	return true, nil
}

// add watches a directory before it reads it, so that nothing that comes in between is missed.
func (w *local) add(top string) error {
	return filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return nil
		}
		relative, err := filepath.Rel(w.root, path)
		if err == nil && relative != "." && w.skip(relative, true) {
			return filepath.SkipDir
		}
		return ignoreGone(w.watcher.Add(path))
	})
}

func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.ENOTDIR) {
		return nil
	}
	return limited(err)
}

func limited(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		return fmt.Errorf("%w: %v", ErrLimit, err)
	}
	return err
}
