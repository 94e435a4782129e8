package pack

import (
	"io"

	"golang.org/x/sys/unix"
)

// file is read by plain calls: os.File offers each to a poller, which takes none.
type file int

// openIn opens what is at a name: never through a link that took the file's place, and never waiting for the writer of
// a pipe that did.
func openIn(within *place, name string) (file, error) {
	const flags = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC
	handle, err := again(func() (int, error) { return unix.Openat(within.Descriptor(), name, flags, 0) })
	return file(handle), err
}

func (f file) stat() (unix.Stat_t, error) {
	var found unix.Stat_t
	_, err := again(func() (int, error) { return 0, unix.Fstat(int(f), &found) })
	return found, err
}

func (f file) Read(piece []byte) (int, error) {
	n, err := again(func() (int, error) { return unix.Read(int(f), piece) })
	if err == nil && n == 0 && len(piece) > 0 {
		err = io.EOF
	}
	return max(n, 0), err
}

func (f file) Close() error { return unix.Close(int(f)) }

// again is for calls that a signal may break off, as the runtime's own do.
func again(call func() (int, error)) (int, error) {
	for {
		if n, err := call(); err != unix.EINTR {
			return n, err
		}
	}
}
