package known

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mutagen-io/mutagen/pkg/filesystem"
	"github.com/mutagen-io/mutagen/pkg/synchronization/core"
	"golang.org/x/sys/unix"
)

// Teller writes the list of a tree's files while it reads them, and has its lock until it ends, in whatever way. Nobody
// needs the list afterwards but who waits for it, so the file's name ends with it.
type Teller struct {
	file *os.File
	out  *bufio.Writer
}

// Tell begins the list of the tree at root.
func Tell(root string) (*Teller, error) {
	path, err := place(root)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) { // of one that was killed
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &Teller{file, bufio.NewWriter(file)}, nil
}

// Add writes records.
func (t *Teller) Add(records []byte) error {
	_, err := t.out.Write(records)
	return err
}

// End ends the list.
func (t *Teller) End() error {
	return errors.Join(t.out.Flush(), os.Remove(t.file.Name()), t.file.Close())
}

// Await gives what is told of the tree at root, once all of it is; nothing when nobody tells.
func Await(ctx context.Context, root string) (*core.Cache, error) {
	path, err := place(root)
	if err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &core.Cache{}, nil
	}
	if err != nil {
		return nil, err
	}
	free := make(chan error, 1)
	go func() { free <- shared(file) }()
	select {
	case err = <-free:
	case <-ctx.Done():
		go func() { // nothing calls back who waits for a lock
			<-free
			file.Close()
		}()
		return nil, ctx.Err()
	}
	defer file.Close()
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(file)
	if err != nil {
		return nil, err
	}
	return parse(text)
}

func shared(file *os.File) error {
	for {
		if err := unix.Flock(int(file.Fd()), unix.LOCK_SH); err != unix.EINTR {
			return err
		}
	}
}

// place is the same for whoever reads the tree and for the sync.
func place(root string) (string, error) {
	root, err := filesystem.Normalize(root)
	if err != nil {
		return "", err
	}
	name := sha256.Sum256([]byte(root))
	directory, err := filesystem.Mutagen(true, "known")
	return filepath.Join(directory, hex.EncodeToString(name[:])), err
}
