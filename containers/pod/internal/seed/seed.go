// Package seed fills a workspace from a tar stream, as fast as the volume takes small files.
package seed

import (
	"archive/tar"
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
)

// Count is how much was written.
type Count struct {
	Files int64 `json:"files"`
	Bytes int64 `json:"bytes"`
}

const (
	readAhead = 1 << 20
	// Files up to this size are written by several workers at once, larger ones straight from the stream.
	small   = 256 << 10
	writers = 4
)

// Extract writes the regular files, directories and symbolic links of a tar stream, plain or packed by zstd, below root, which
// nobody else may write meanwhile. It refuses names that lead out of root and every other kind of entry. What it has written
// it notes in list, a record for each file.
func Extract(stream io.Reader, root string, list io.Writer) (Count, error) {
	archive, done, err := plain(bufio.NewReaderSize(stream, readAhead))
	if err != nil {
		return Count{}, err
	}
	defer done()
	tree := newTree(root)
	workers := newWorkers(writers, &listing{to: list})
	count, err := readAll(tar.NewReader(archive), tree, workers)
	if err == nil {
		_, err = io.Copy(io.Discard, archive) // the sum of what was packed is at its end
	}
	return count, errors.Join(err, workers.finish())
}

// The first bytes say whether it is packed (RFC 8878, section 3.1.1).
func plain(stream *bufio.Reader) (io.Reader, func(), error) {
	if magic, _ := stream.Peek(4); string(magic) != "\x28\xb5\x2f\xfd" {
		return stream, func() {}, nil
	}
	unpacked, err := zstd.NewReader(stream)
	if err != nil {
		return nil, nil, err
	}
	return unpacked, unpacked.Close, nil
}

// Empty removes everything below root.
func Empty(root string) error {
	entries, err := os.ReadDir(root)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err = os.RemoveAll(filepath.Join(root, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}

func readAll(archive *tar.Reader, tree *tree, workers *workers) (Count, error) {
	var count Count
	for {
		header, err := archive.Next()
		if err == io.EOF {
			return count, nil
		}
		if err != nil {
			return count, err
		}
		if err = one(archive, header, tree, workers); err != nil {
			return count, fmt.Errorf("%q: %w", header.Name, err)
		}
		if header.Typeflag == tar.TypeReg {
			count.Files++
			count.Bytes += header.Size
		}
	}
}

func one(archive *tar.Reader, header *tar.Header, tree *tree, workers *workers) error {
	path, err := tree.place(header.Name)
	if err != nil {
		return err
	}
	switch header.Typeflag {
	case tar.TypeDir:
		return tree.directory(filepath.Clean(header.Name))
	case tar.TypeSymlink:
		_ = os.Remove(path)
		return os.Symlink(header.Linkname, path)
	case tar.TypeReg:
		one := job{name: filepath.Clean(header.Name), path: path, mode: mode(header), changed: changed(header)}
		return regular(archive, header, one, workers)
	}
	return fmt.Errorf("entries of type %q are not taken", header.Typeflag)
}

func regular(archive *tar.Reader, header *tar.Header, one job, workers *workers) error {
	if header.Size > small {
		return workers.list.writeFile(one, archive)
	}
	one.buffer = buffers.Get().(*[small]byte)
	one.content = one.buffer[:header.Size]
	if _, err := io.ReadFull(archive, one.content); err != nil {
		return err
	}
	one.sum = digest(header)
	return workers.write(one)
}
