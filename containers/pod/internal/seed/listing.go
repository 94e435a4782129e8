package seed

import (
	"encoding/hex"
	"io"
	"os"
	"strconv"
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
	record := make([]byte, 0, 128+len(name))
	for _, number := range []int64{int64(facts.Ino), int64(facts.Mode), facts.Mtim.Nano(), facts.Size} {
		record = append(strconv.AppendInt(record, number, 10), ' ')
	}
	record = append(hex.AppendEncode(record, sum), ' ')
	record = append(append(record, name...), 0)
	l.mutex.Lock()
	defer l.mutex.Unlock()
	_, err := l.to.Write(record)
	return err
}
