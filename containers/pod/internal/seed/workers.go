package seed

import (
	"crypto/sha1"
	"io"
	"os"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

type job struct {
	name    string // in the workspace
	path    string
	mode    uint32
	changed time.Time
	content []byte // of a small file
	buffer  *[small]byte
	sum     []byte // of the content, where the laptop has told it
}

// buffers are for the contents of small files.
var buffers = sync.Pool{New: func() any { return new([small]byte) }}

// workers write small files side by side: on network volumes each file costs round trips, not bandwidth.
type workers struct {
	jobs   chan job
	list   *listing
	all    sync.WaitGroup
	mutex  sync.Mutex
	failed error
}

func newWorkers(number int, list *listing) *workers {
	w := &workers{jobs: make(chan job, number), list: list}
	for range number {
		w.all.Add(1)
		go w.work()
	}
	return w
}

func (w *workers) work() {
	defer w.all.Done()
	for one := range w.jobs {
		if err := w.list.writeSmall(one); err != nil {
			w.fail(err)
		}
		buffers.Put(one.buffer)
	}
}

func (w *workers) fail(err error) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.failed == nil {
		w.failed = err
	}
}

// write hands a file over, and gives the error that an earlier one met.
func (w *workers) write(one job) error {
	w.jobs <- one
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.failed
}

func (w *workers) finish() error {
	close(w.jobs)
	w.all.Wait()
	return w.failed
}

func (l *listing) writeFile(one job, content io.Reader) error {
	descriptor, err := create(one.path, one.mode)
	if err != nil {
		return err
	}
	file := os.NewFile(uintptr(descriptor), one.path)
	defer file.Close()
	sum := sha1.New()
	if _, err = io.Copy(io.MultiWriter(file, sum), content); err != nil {
		return err
	}
	if err = setTimes(descriptor, one.changed); err != nil {
		return err
	}
	return l.add(one.name, descriptor, sum.Sum(nil))
}

// writeSmall is for files whose content costs less than what Go does around a file of its own.
func (l *listing) writeSmall(one job) error {
	descriptor, err := create(one.path, one.mode)
	if err != nil {
		return err
	}
	defer unix.Close(descriptor)
	for left := one.content; len(left) > 0; {
		written, err := unix.Write(descriptor, left)
		if err != nil && err != unix.EINTR {
			return &os.PathError{Op: "write", Path: one.path, Err: err}
		}
		left = left[max(written, 0):]
	}
	if err = setTimes(descriptor, one.changed); err != nil {
		return err
	}
	if one.sum == nil {
		sum := sha1.Sum(one.content)
		one.sum = sum[:]
	}
	return l.add(one.name, descriptor, one.sum)
}

// setTimes sets both times of an open file (utimensat(2) without a path).
func setTimes(descriptor int, changed time.Time) error {
	time := unix.NsecToTimespec(changed.UnixNano())
	times := [2]unix.Timespec{time, time}
	_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(descriptor), 0, uintptr(unsafe.Pointer(&times)), 0, 0, 0)
	if errno != 0 {
		return os.NewSyscallError("utimensat", errno)
	}
	return nil
}

func create(path string, mode uint32) (int, error) {
	descriptor, err := createNew(path, mode)
	if err == unix.EEXIST {
		if err = os.Remove(path); err != nil {
			return 0, err
		}
		descriptor, err = createNew(path, mode)
	}
	if err != nil {
		return 0, &os.PathError{Op: "create", Path: path, Err: err}
	}
	return descriptor, nil
}

func createNew(path string, mode uint32) (int, error) {
	for {
		descriptor, err := unix.Open(path, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
		if err != unix.EINTR { // some network volumes give it
			return descriptor, err
		}
	}
}
