package watch

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

const mask = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_MODIFY |
	unix.IN_CLOSE_WRITE | unix.IN_ATTRIB | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF |
	unix.IN_ONLYDIR | unix.IN_DONT_FOLLOW | unix.IN_EXCL_UNLINK

// skip says of an entry of a directory that neither it nor what is below it matters.
type skip func(directory, name string) bool

// tree is a set of watches on every directory below root, without links and without what is skipped.
type tree struct {
	root     string
	skip     skip
	watches  int
	paths    map[int32]string
	complete bool
	partial  atomic.Bool
}

func newTree(root string, skip skip) (*tree, error) {
	descriptor, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if err != nil {
		return nil, err
	}
	t := &tree{root: root, skip: skip, watches: descriptor, paths: map[int32]string{}}
	t.add(root)
	t.complete = t.isComplete()
	return t, nil
}

func (t *tree) isComplete() bool { return !t.partial.Load() }

// add watches a directory and then looks into it: what was made in between is seen by one or by the other.
func (t *tree) add(path string) {
	number, err := unix.InotifyAddWatch(t.watches, path, mask)
	if err != nil {
		// The others mean that it is gone, or no directory.
		if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.ENOMEM) {
			t.partial.Store(true)
		}
		return
	}
	t.paths[int32(number)] = path
	entries, err := os.ReadDir(path)
	if err != nil {
		return
	}
	for _, entry := range entries {
		if entry.IsDir() && !t.skip(path, entry.Name()) {
			t.add(filepath.Join(path, entry.Name()))
		}
	}
}

func (t *tree) follow(events chan<- struct{}) {
	defer close(events)
	buffer := make([]byte, 64<<10)
	for {
		length, err := unix.Read(t.watches, buffer)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || length <= 0 {
			exit(err)
		}
		if t.take(buffer[:length]) {
			note(events)
		}
	}
}

// take reads the events of one batch and tells whether any of them counts.
func (t *tree) take(batch []byte) bool {
	counts := false
	for len(batch) >= unix.SizeofInotifyEvent {
		event := (*unix.InotifyEvent)(unsafe.Pointer(&batch[0]))
		end := unix.SizeofInotifyEvent + int(event.Len)
		name := string(bytes.TrimRight(batch[unix.SizeofInotifyEvent:end], "\x00"))
		batch = batch[end:]
		counts = t.one(event, name) || counts
	}
	return counts
}

func (t *tree) one(event *unix.InotifyEvent, name string) bool {
	if event.Mask&unix.IN_Q_OVERFLOW != 0 {
		t.add(t.root)
		return true
	}
	if event.Mask&unix.IN_IGNORED != 0 {
		delete(t.paths, event.Wd)
		return false
	}
	parent, known := t.paths[event.Wd]
	if !known || (name != "" && t.skip(parent, name)) {
		return false
	}
	if event.Mask&unix.IN_ISDIR != 0 && event.Mask&(unix.IN_CREATE|unix.IN_MOVED_TO) != 0 {
		t.add(filepath.Join(parent, name))
	}
	return true
}
