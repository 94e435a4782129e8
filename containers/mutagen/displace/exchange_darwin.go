package displace

import (
	"errors"

	"github.com/mutagen-io/mutagen/pkg/filesystem"
	"golang.org/x/sys/unix"
)

// errUnsupported: the file system cannot exchange two names.
var errUnsupported = errors.New("the file system cannot exchange two files")

// exchange gives each of two names the other's file, in one step.
func exchange(path string, parent *filesystem.Directory, name string) error {
	err := unix.RenameatxNp(unix.AT_FDCWD, path, parent.Descriptor(), name, unix.RENAME_SWAP)
	if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EXDEV) {
		return errUnsupported
	}
	return err
}
