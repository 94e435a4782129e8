// Package look shows the laptop what lies in the workspace, which belongs to the agent: no link is followed, nothing is
// waited for, everything has a limit, and whatever is found is data.
package look

import (
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

var errOutside = errors.New("this is no path in the workspace")

// Path decodes a path of a command: percent-encoded, so that any name is one word.
func Path(word string) (string, error) {
	path, err := url.PathUnescape(word)
	if err != nil || path == "" || path == "." || strings.ContainsRune(path, 0) || !filepath.IsLocal(path) || filepath.Clean(path) != path {
		return "", errOutside
	}
	return path, nil
}

// Parent opens the directory of a path below root, part by part, and gives it with the path's last part. A link on the
// way is an error, not a way out.
func Parent(root, path string) (int, string, error) {
	directory, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, "", err
	}
	parts := strings.Split(path, "/")
	for _, part := range parts[:len(parts)-1] {
		next, err := unix.Openat(directory, part, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		unix.Close(directory)
		if err != nil {
			return -1, "", &os.PathError{Op: "open", Path: part, Err: err}
		}
		directory = next
	}
	return directory, parts[len(parts)-1], nil
}

// openFile opens a regular file of a directory; a pipe is not waited for and a link is not followed.
func openFile(directory int, name string) (*os.File, unix.Stat_t, error) {
	var facts unix.Stat_t
	descriptor, err := unix.Openat(directory, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, facts, err
	}
	if err = unix.Fstat(descriptor, &facts); err == nil && facts.Mode&unix.S_IFMT != unix.S_IFREG {
		err = errors.New("this is no file")
	}
	if err != nil {
		unix.Close(descriptor)
		return nil, facts, err
	}
	return os.NewFile(uintptr(descriptor), name), facts, nil
}
