package displace

import (
	"bytes"
	"errors"
	"hash"
	"io"
	"io/fs"
	"os"
	"runtime"
	"syscall"

	"github.com/mutagen-io/mutagen/pkg/filesystem"
	"github.com/mutagen-io/mutagen/pkg/synchronization/core"
)

// look compares what lies at a place with an entry of a tree. Where the file system keeps no executable bit, the tree has
// it from the other end, and it says nothing of what lies here.
type look struct {
	hash               func() hash.Hash
	keepsExecutability bool
}

// is says that the file or link at a path is just what the entry says; in doubt it is not.
func (l look) is(path string, e *core.Entry) bool {
	if e.Kind == core.EntryKind_SymbolicLink {
		target, err := os.Readlink(path)
		return err == nil && target == e.Target
	}
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer file.Close()
	facts, err := file.Stat()
	if err != nil || !facts.Mode().IsRegular() {
		return false
	}
	if l.keepsExecutability && (facts.Mode()&0o111 != 0) != e.Executable {
		return false
	}
	hasher := l.hash()
	_, err = io.Copy(hasher, file)
	return err == nil && bytes.Equal(hasher.Sum(nil), e.Digest)
}

// spelledSo says that a directory has an entry of just that name. On Linux a name that can be opened is spelled so.
func spelledSo(directory *filesystem.Directory, name string) error {
	if runtime.GOOS == "linux" {
		return nil
	}
	names, err := directory.ReadContentNames()
	if err != nil {
		return err
	}
	for _, n := range names {
		if n == name {
			return nil
		}
	}
	return &fs.PathError{Op: "open", Path: name, Err: errors.New("it is not there, or spelled in another way")}
}
