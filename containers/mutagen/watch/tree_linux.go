package watch

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// events are those of inotify(7) by which a file, or what a directory holds, may have become another one. A file that
// is written through memory is noticed when it is closed.
const events = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_MODIFY |
	unix.IN_CLOSE_WRITE | unix.IN_ATTRIB | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF |
	unix.IN_ONLYDIR | unix.IN_DONT_FOLLOW | unix.IN_EXCL_UNLINK

// tree is a watch on every directory below a root, without links and without what is skipped.
type tree struct {
	*notes
	root string
	skip Skip
	tell func(State)
	file *os.File
	raw  syscall.RawConn
	done chan struct{}

	lock        sync.Mutex
	directories map[int32]string // by the number of the watch, relative to the root
	state       State
	short       bool // there are more directories than watches
	rootless    bool
}

// Local watches root until it is closed; tell hears how it does.
func Local(root string, skip Skip, tell func(State)) (Watcher, error) {
	descriptor, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", root, err)
	}
	file := os.NewFile(uintptr(descriptor), "inotify")
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	t := &tree{notes: newNotes(), root: root, skip: skip, tell: tell, file: file, raw: raw, done: make(chan struct{}), directories: map[int32]string{}}
	t.lock.Lock()
	t.begin(descriptor)
	t.lock.Unlock()
	go t.follow()
	return t, nil
}

// Live says that every change is noticed.
func (t *tree) Live() bool {
	t.lock.Lock()
	defer t.lock.Unlock()
	return t.state == Watching
}

// Take also gives what the kernel knows and has not told yet, so whatever was changed before the call.
func (t *tree) Take() (map[string]bool, bool) {
	_ = t.raw.Control(func(descriptor uintptr) {
		t.drain(int(descriptor))
		t.again(int(descriptor))
	})
	return t.take()
}

// Close ends the watch.
func (t *tree) Close() {
	t.file.Close()
	<-t.done
}

// follow empties the kernel's queue as it fills.
func (t *tree) follow() {
	defer close(t.done)
	for t.raw.Read(func(descriptor uintptr) bool { return t.drain(int(descriptor)) }) == nil {
	}
}

// drain reads what the kernel has, and says whether that was anything.
func (t *tree) drain(descriptor int) bool {
	t.lock.Lock()
	defer t.lock.Unlock()
	buffer := make([]byte, 64<<10)
	for found := false; ; found = true {
		length, err := unix.Read(descriptor, buffer)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || length <= 0 {
			return found
		}
		t.batch(descriptor, buffer[:length])
	}
}

func (t *tree) batch(descriptor int, batch []byte) {
	for len(batch) >= unix.SizeofInotifyEvent {
		event := (*unix.InotifyEvent)(unsafe.Pointer(&batch[0]))
		end := unix.SizeofInotifyEvent + int(event.Len)
		name := string(bytes.TrimRight(batch[unix.SizeofInotifyEvent:end], "\x00"))
		t.one(descriptor, event, name)
		batch = batch[end:]
	}
}

// one follows an event: what it names is noted, and the watches go with the directories.
func (t *tree) one(descriptor int, event *unix.InotifyEvent, name string) {
	directory, known := t.directories[event.Wd]
	switch {
	case event.Mask&unix.IN_Q_OVERFLOW != 0:
		t.begin(descriptor)
	case !known:
	case name != "":
		t.entry(descriptor, event.Mask, join(directory, name))
	case event.Mask&unix.IN_IGNORED != 0:
		delete(t.directories, event.Wd)
		t.rootless = t.rootless || directory == ""
		t.become()
	case event.Mask&unix.IN_MOVE_SELF != 0 && directory == "":
		t.forget(descriptor, "")
		t.rootless = true
		t.become()
	default:
		t.path(directory)
	}
}

func (t *tree) entry(descriptor int, mask uint32, path string) {
	isDirectory := mask&unix.IN_ISDIR != 0
	if temporary(path) || t.skip(path, isDirectory) {
		return
	}
	t.path(path)
	if isDirectory && mask&unix.IN_MOVED_FROM != 0 { // its new name, if it is still below the root, is another event
		t.forget(descriptor, path)
	}
	if isDirectory && mask&(unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_ATTRIB) != 0 {
		t.add(descriptor, path)
		t.become()
	}
}

// begin watches everything, and knows nothing of what was before.
func (t *tree) begin(descriptor int) {
	t.anything()
	t.short, t.rootless = false, false
	t.add(descriptor, "")
	t.become()
}

// again looks whether a root that was taken away is back.
func (t *tree) again(descriptor int) {
	t.lock.Lock()
	defer t.lock.Unlock()
	if t.rootless {
		t.begin(descriptor)
	}
}

func (t *tree) become() {
	state := Watching
	if t.short || t.rootless {
		state = Polling
		t.anything()
	}
	if state != t.state {
		t.state = state
		t.tell(state)
	}
}

// add watches a directory before it reads it, so what is made in between is seen by one or the other; and it notes each
// directory below, because what was made in one before it was watched is told by nobody.
func (t *tree) add(descriptor int, path string) {
	full := filepath.Join(t.root, path)
	number, err := unix.InotifyAddWatch(descriptor, full, events)
	if err != nil {
		t.unwatched(path, err)
		return
	}
	t.directories[int32(number)] = path
	t.path(path)
	entries, err := os.ReadDir(full)
	if err != nil {
		return
	}
	for _, entry := range entries {
		inner := join(path, entry.Name())
		if entry.IsDir() && !temporary(inner) && !t.skip(inner, true) {
			t.add(descriptor, inner)
		}
	}
}

// unwatched: what is gone, unreadable or no directory needs no watch. What comes into its place is another event.
func (t *tree) unwatched(path string, err error) {
	absent := errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.ENOTDIR)
	t.rootless = t.rootless || (absent && path == "")
	t.short = t.short || !absent
}

// forget ends the watches of a directory that was taken away, and of those below it: they would go on by its old name.
func (t *tree) forget(descriptor int, path string) {
	for number, directory := range t.directories {
		if path == "" || directory == path || strings.HasPrefix(directory, path+"/") {
			_, _ = unix.InotifyRmWatch(descriptor, uint32(number))
			delete(t.directories, number)
		}
	}
}

func join(directory, name string) string {
	if directory == "" {
		return name
	}
	return directory + "/" + name
}
