// Package pack makes one stream of the files that the laptop has chosen: a tar, packed by zstd.
//
// The headers are POSIX ustar (IEEE 1003.1-2008) wherever the name fits: a pax header only for the nanoseconds of a time
// would be 1,024 bytes more for each entry. Two fields that would be empty hold what the pod can use: uname the nanoseconds
// of the time, as decimal, and gname the SHA-1 of a small file's content, as base64 (RFC 4648) without padding.
package pack

import (
	"archive/tar"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/mutagen-io/mutagen/pkg/filesystem"
	"golang.org/x/sys/unix"

	"paude/sync/known"
)

const (
	// small files are read by several readers ahead of the stream, larger ones when their turn comes.
	small   = 256 << 10
	readers = 4
	ahead   = 64
)

// Tell is called from one goroutine: with each path that could not be read, with what is known of each small file that
// was, as a record of package known, and with the bytes of the tar so far.
type Tell struct {
	Unreadable func(path string)
	Known      func(record []byte)
	Made       func(bytes int64)
}

// Write packs the entries at paths, relative to root, in their order; a directory stands for itself alone. What is no
// file, directory or link, or has gone, is left out. No link is followed, and no pipe waited for.
func Write(out io.Writer, root string, paths <-chan string, tell Tell) error {
	packed, err := zstd.NewWriter(out, zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return err
	}
	counted := &counting{to: packed}
	archive := tar.NewWriter(counted)
	way, err := from(root)
	if err != nil {
		return err
	}
	for turn := range inOrder(way, paths) {
		one := <-turn
		switch err := one.appendTo(archive); {
		case errors.Is(err, errUnreadable):
			tell.Unreadable(one.path)
		case err != nil:
			return err
		}
		if one.known != nil {
			tell.Known(one.known)
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
func inOrder(way way, paths <-chan string) <-chan chan *entry {
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
		defer way.end()
		for path := range paths {
			turn := make(chan *entry, 1)
			turns <- turn
			within, err := way.to(path)
			jobs <- func() { turn <- look(within, path, err) }
		}
	}()
	return turns
}

var errUnreadable = errors.New("unreadable")

// buffers are for the contents of small files.
var buffers = sync.Pool{New: func() any { return new([small]byte) }}

// entry is what was found at a path: nothing to send when it has no header.
type entry struct {
	path    string
	header  *tar.Header
	content []byte
	buffer  *[small]byte  // that has the content
	known   []byte        // the record of a small file that was read to its end
	rest    io.ReadCloser // of a file that is not small
	err     error
}

// look lets the directory go that the entry is in, or has the error why there is none.
func look(within *place, path string, err error) *entry {
	if err != nil {
		return &entry{path: path, err: err}
	}
	defer within.release()
	e := &entry{path: path}
	e.err = e.read(within, filepath.Base(path))
	return e
}

func (e *entry) read(within *place, name string) error {
	info, err := within.ReadContentMetadata(name)
	if err != nil {
		return err
	}
	switch info.Mode & filesystem.ModeTypeMask {
	case filesystem.ModeTypeDirectory:
		e.header = e.of(tar.TypeDir, 0, info.ModificationTime)
		e.header.Name += "/"
	case filesystem.ModeTypeSymbolicLink:
		e.header = e.of(tar.TypeSymlink, info.Mode, info.ModificationTime)
		e.header.Linkname, err = within.ReadSymbolicLink(name)
	case filesystem.ModeTypeFile:
		err = e.open(within, name)
	}
	return err
}

func (e *entry) open(within *place, name string) error {
	file, err := openIn(within, name)
	if err != nil {
		return err
	}
	info, err := file.stat()
	if err != nil || info.Mode&unix.S_IFMT != unix.S_IFREG {
		return errors.Join(err, file.Close())
	}
	e.header = e.of(tar.TypeReg, filesystem.Mode(info.Mode), time.Unix(info.Mtim.Unix()))
	e.header.Size = info.Size
	if e.header.Size > small {
		e.rest = file
		return nil
	}
	defer file.Close()
	e.buffer = buffers.Get().(*[small]byte)
	e.content = e.buffer[:e.header.Size]
	n, err := io.ReadFull(file, e.content)
	if err != nil && !cut(err) {
		return err
	}
	clear(e.content[n:])
	sum := sha1.Sum(e.content) // of what is sent, zeros and all
	e.header.Gname = base64.RawStdEncoding.EncodeToString(sum[:])
	if err == nil {
		e.known = known.Append(nil, &info, sum[:], e.path)
	}
	return nil
}

// cut says that a file became shorter while it was read. What is missing is sent as zeros, because the header is told
// already; the sync that follows puts it right.
func cut(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

func (e *entry) of(kind byte, had filesystem.Mode, modified time.Time) *tar.Header {
	mode := int64(0o644)
	if kind == tar.TypeDir || had&0o111 != 0 {
		mode = 0o755
	}
	seconds, nanoseconds := time.Unix(modified.Unix(), 0), strconv.Itoa(modified.Nanosecond())
	return &tar.Header{Typeflag: kind, Name: e.path, Mode: mode, ModTime: seconds, Uname: nanoseconds}
}

func (e *entry) appendTo(archive *tar.Writer) error {
	if e.rest != nil {
		defer e.rest.Close()
	}
	if e.buffer != nil {
		defer buffers.Put(e.buffer)
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
	if e.rest == nil {
		_, err := archive.Write(e.content)
		return err
	}
	_, err := io.CopyN(archive, io.MultiReader(upToAnError{e.rest}, zeros{}), e.header.Size)
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
