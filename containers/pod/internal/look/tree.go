package look

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	// Deeper than any path that the sync could carry (PATH_MAX), and each level takes a descriptor.
	deepest = 500
	// As many entries as the sync takes.
	mostEntries = 2_000_000
	// The sync takes no larger file; a sparse one would otherwise be hashed for hours.
	largestHashed = 8 << 30
	temporary     = ".mutagen-temporary-"
)

// Entry is one line of a listing. Path and Target are percent-encoded.
type Entry struct {
	Path       string `json:"p"`
	Kind       string `json:"k"` // file, directory, link, other
	Executable bool   `json:"x,omitempty"`
	Size       int64  `json:"s,omitempty"`
	Hash       string `json:"h,omitempty"` // SHA-256, empty for what is too large, unreadable, or was not asked for
	Target     string `json:"t,omitempty"`
	Error      string `json:"e,omitempty"`
}

type lister struct {
	out    *json.Encoder
	hash   bool
	left   int
	buffer []byte
}

var errTooMany = errors.New("there are too many entries")

// Tree prints what lies at path below root, or all of it, one entry a line in the order of the names; with hash also what
// the files hold. Git's own directories are left out, as the sync does.
func Tree(out io.Writer, root, path string, hash bool) error {
	buffered := bufio.NewWriterSize(out, 1<<16)
	l := &lister{json.NewEncoder(buffered), hash, mostEntries, make([]byte, 1<<18)}
	err := l.start(root, path)
	return errors.Join(err, buffered.Flush())
}

func (l *lister) start(root, path string) error {
	if path != "" {
		directory, name, err := Parent(root, path)
		if err != nil {
			return err
		}
		defer unix.Close(directory)
		return l.entry(directory, name, path, 0)
	}
	top, err := unix.Open(root, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return l.below(top, "", 0)
}

// below lists a directory and closes it.
func (l *lister) below(descriptor int, prefix string, depth int) error {
	directory := os.NewFile(uintptr(descriptor), prefix)
	defer directory.Close()
	names, err := directory.Readdirnames(l.left + 1)
	if err != nil && err != io.EOF {
		return l.tell(Entry{Path: prefix, Kind: "directory", Error: reason(err)})
	}
	slices.Sort(names)
	for _, name := range names {
		if name == ".git" || strings.HasPrefix(name, temporary) {
			continue
		}
		path := name
		if prefix != "" {
			path = prefix + "/" + name
		}
		if err := l.entry(descriptor, name, path, depth); err != nil {
			return err
		}
	}
	return nil
}

func (l *lister) entry(directory int, name, path string, depth int) error {
	var facts unix.Stat_t
	if err := unix.Fstatat(directory, name, &facts, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		if errors.Is(err, unix.ENOENT) {
			return nil // gone meanwhile
		}
		return l.tell(Entry{Path: path, Kind: "other", Error: reason(err)})
	}
	switch facts.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return l.directory(directory, name, path, depth)
	case unix.S_IFLNK:
		return l.tell(Entry{Path: path, Kind: "link", Target: url.PathEscape(target(directory, name))})
	case unix.S_IFREG:
		return l.tell(l.file(directory, name, path, facts))
	}
	return l.tell(Entry{Path: path, Kind: "other"})
}

func (l *lister) directory(parent int, name, path string, depth int) error {
	if depth >= deepest {
		return l.tell(Entry{Path: path, Kind: "directory", Error: "it is too deep"})
	}
	if err := l.tell(Entry{Path: path, Kind: "directory"}); err != nil {
		return err
	}
	descriptor, err := unix.Openat(parent, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil // it is something else by now
	}
	return l.below(descriptor, path, depth+1)
}

func (l *lister) file(directory int, name, path string, facts unix.Stat_t) Entry {
	found := Entry{Path: path, Kind: "file", Executable: facts.Mode&0o111 != 0, Size: facts.Size}
	if !l.hash || facts.Size > largestHashed {
		return found
	}
	file, _, err := openFile(directory, name)
	if err != nil {
		found.Error = reason(err)
		return found
	}
	defer file.Close()
	whole := sha256.New()
	if _, err = io.CopyBuffer(whole, io.LimitReader(file, largestHashed), l.buffer); err != nil {
		found.Error = reason(err)
		return found
	}
	found.Hash = hex.EncodeToString(whole.Sum(nil))
	return found
}

func (l *lister) tell(entry Entry) error {
	if l.left--; l.left < 0 {
		return errTooMany
	}
	entry.Path = escaped(entry.Path)
	return l.out.Encode(entry)
}

func escaped(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		parts[i] = url.PathEscape(part)
	}
	return strings.Join(parts, "/")
}

func target(directory int, name string) string {
	buffer := make([]byte, unix.PathMax)
	length, err := unix.Readlinkat(directory, name, buffer)
	if err != nil {
		return ""
	}
	return string(buffer[:length])
}

func reason(err error) string {
	var number unix.Errno
	if errors.As(err, &number) {
		return number.Error()
	}
	return fmt.Sprint(err)
}
