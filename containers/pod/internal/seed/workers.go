package seed

import (
	"bytes"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

type job struct {
	path    string
	mode    fs.FileMode
	changed time.Time
	content []byte
}

// workers write small files side by side: on network volumes each file costs round trips, not bandwidth.
type workers struct {
	jobs   chan job
	all    sync.WaitGroup
	mutex  sync.Mutex
	failed error
}

func newWorkers(number int) *workers {
	w := &workers{jobs: make(chan job, number)}
	for range number {
		w.all.Add(1)
		go w.work()
	}
	return w
}

func (w *workers) work() {
	defer w.all.Done()
	for one := range w.jobs {
		if err := writeFile(one.path, one.mode, one.changed, bytes.NewReader(one.content)); err != nil {
			w.fail(err)
		}
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
func (w *workers) write(path string, mode fs.FileMode, changed time.Time, content []byte) error {
	w.jobs <- job{path, mode, changed, content}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.failed
}

func (w *workers) finish() error {
	close(w.jobs)
	w.all.Wait()
	return w.failed
}

func writeFile(path string, mode fs.FileMode, changed time.Time, content io.Reader) error {
	file, err := create(path, mode)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err = io.Copy(file, content); err != nil {
		return err
	}
	stamp := unix.NsecToTimeval(changed.UnixNano())
	return unix.Futimes(int(file.Fd()), []unix.Timeval{stamp, stamp})
}

func create(path string, mode fs.FileMode) (*os.File, error) {
	flags := os.O_CREATE | os.O_EXCL | os.O_WRONLY | unix.O_NOFOLLOW
	file, err := os.OpenFile(path, flags, mode)
	if !os.IsExist(err) {
		return file, err
	}
	if err = os.Remove(path); err != nil {
		return nil, err
	}
	return os.OpenFile(path, flags, mode)
}
