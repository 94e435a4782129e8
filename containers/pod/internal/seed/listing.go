package seed

import (
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// listing notes what was written, for the sync agent, which then need not read it again: inode, mode, time of change in
// nanoseconds, size in bytes, SHA-1 and name, with a zero byte behind each file's.
type listing struct {
	mutex sync.Mutex
	to    io.Writer
}

func (l *listing) add(name string, descriptor int, sum []byte) error {
	var facts unix.Stat_t
	if err := unix.Fstat(descriptor, &facts); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	l.mutex.Lock()
	defer l.mutex.Unlock()
	_, err := fmt.Fprintf(l.to, "%d %d %d %d %x %s\x00", facts.Ino, facts.Mode, facts.Mtim.Nano(), facts.Size, sum, name)
	return err
}
