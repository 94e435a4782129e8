package look

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Aside moves what lies at path below root out of the workspace, to kept on the same volume, and gives where it lies now.
func Aside(root, path, kept string) (string, error) {
	directory, name, err := Parent(root, path)
	if err != nil {
		return "", err
	}
	defer unix.Close(directory)
	if err = os.MkdirAll(kept, 0o770); err != nil {
		return "", err
	}
	place, err := os.MkdirTemp(kept, time.Now().UTC().Format("20060102-150405-"))
	if err != nil {
		return "", err
	}
	target := filepath.Join(place, "version")
	if err = unix.Renameat2(directory, name, unix.AT_FDCWD, target, unix.RENAME_NOREPLACE); err != nil {
		return "", errors.Join(err, os.Remove(place))
	}
	return target, nil
}

// Beside gives what lies at path below root another name in the same directory, which nothing may have yet.
func Beside(root, path, name string) error {
	if name == "." || name == ".." || filepath.Base(name) != name {
		return errOutside
	}
	directory, old, err := Parent(root, path)
	if err != nil {
		return err
	}
	defer unix.Close(directory)
	return unix.Renameat2(directory, old, directory, name, unix.RENAME_NOREPLACE)
}
