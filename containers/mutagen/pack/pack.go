// Package pack makes one stream of the files that the laptop has chosen: a tar, packed by zstd.
package pack

import (
	"archive/tar"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"
)

const (
	// small files are read by several readers ahead of the stream, larger ones when their turn comes.
	small   = 256 << 10
	readers = 4
	ahead   = 64
)

// Tell is called from one goroutine: with each path that could not be read, and with the bytes of the tar so far.
type Tell struct {
	Unreadable func(path string)
	Made       func(bytes int64)
}

// Write packs the entries at paths, relative to root, in their order; a directory stands for itself alone. What is no
// file, directory or link, or has gone, is left out. No link is followed at the end of a path, and no pipe waited for.
func Write(out io.Writer, root string, paths <-chan string, tell Tell) error {
	packed, err := zstd.NewWriter(out, zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return err
	}
	counted := &counting{to: packed}
	archive := tar.NewWriter(counted)
	for turn := range inOrder(root, paths) {
		one := <-turn
		switch err := one.appendTo(archive); {
		case errors.Is(err, errUnreadable):
			tell.Unreadable(one.path)
		case err != nil:
			return err
		}
		tell.Made(counted.bytes)
	}
	return errors.Join(archive.Close(), packed.Close())
}

type counting struct {
	to    io.Writer
	bytes int64
}

func (c *counting) Write(piece []byte) (int, error) {
	c.bytes += int64(len(piece))
	return c.to.Write(piece)
}

// inOrder reads entries side by side and gives them in their order. Whoever stops taking them has to end the process.
func inOrder(root string, paths <-chan string) <-chan chan *entry {
	turns, jobs := make(chan chan *entry, ahead), make(chan func())
	for range readers {
		go func() {
			for job := range jobs {
				job()
			}
		}()
	}
	go func() {
		defer close(jobs)
		defer close(turns)
		for path := range paths {
			turn := make(chan *entry, 1)
			turns <- turn
			jobs <- func() { turn <- look(root, path) }
		}
	}()
	return turns
}

var errUnreadable = errors.New("unreadable")

// entry is what was found at a path: nothing to send when it has no header.
type entry struct {
	path    string
	header  *tar.Header
	content []byte
	file    *os.File // of a file that is not small
	err     error
}

func look(root, path string) *entry {
	e := &entry{path: path}
	e.err = e.read(filepath.Join(root, path))
	return e
}

func (e *entry) read(full string) error {
	info, err := os.Lstat(full)
	if err != nil {
		return err
	}
	switch info.Mode().Type() {
	case fs.ModeDir:
		e.header = e.of(info, tar.TypeDir)
		e.header.Name += "/"
	case fs.ModeSymlink:
		e.header = e.of(info, tar.TypeSymlink)
		e.header.Linkname, err = os.Readlink(full)
	case 0:
		err = e.open(full)
	}
	return err
}

func (e *entry) open(full string) error {
	// Never through a link that took the file's place, and never waiting for the writer of a pipe that did.
	file, err := os.OpenFile(full, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return errors.Join(err, file.Close())
	}
	e.header = e.of(info, tar.TypeReg)
	e.header.Size = info.Size()
	if e.header.Size > small {
		e.file = file
		return nil
	}
	defer file.Close()
	e.content = make([]byte, e.header.Size)
	if _, err = io.ReadFull(file, e.content); cut(err) {
		return nil
	}
	return err
}

// cut says that a file became shorter while it was read. What is missing is sent as zeros, because the header is told
// already; the sync that follows puts it right.
func cut(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

func (e *entry) of(info fs.FileInfo, kind byte) *tar.Header {
	mode := int64(0o644)
	if kind == tar.TypeDir || info.Mode()&0o111 != 0 {
		mode = 0o755
	}
	return &tar.Header{Typeflag: kind, Name: e.path, Mode: mode, ModTime: info.ModTime(), Format: tar.FormatPAX}
}

func (e *entry) appendTo(archive *tar.Writer) error {
	if e.file != nil {
		defer e.file.Close()
	}
	if errors.Is(e.err, fs.ErrNotExist) || (e.err == nil && e.header == nil) {
		return nil
	}
	if e.err != nil {
		return errUnreadable
	}
	if err := archive.WriteHeader(e.header); err != nil {
		return err
	}
	if e.file == nil {
		_, err := archive.Write(e.content)
		return err
	}
	_, err := io.CopyN(archive, io.MultiReader(upToAnError{e.file}, zeros{}), e.header.Size)
	return err
}

// upToAnError ends where reading fails.
type upToAnError struct{ from io.Reader }

func (u upToAnError) Read(piece []byte) (int, error) {
	n, err := u.from.Read(piece)
	if err != nil {
		err = io.EOF
	}
	return n, err
}

type zeros struct{}

func (zeros) Read(piece []byte) (int, error) {
	clear(piece)
	return len(piece), nil
}
