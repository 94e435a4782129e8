// Package seed fills a workspace from a tar stream, as fast as the volume takes small files.
package seed

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
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

// Extract writes the regular files, directories and symbolic links of a tar stream, plain or gzipped, below root, which
// nobody else may write meanwhile. It refuses names that lead out of root and every other kind of entry.
func Extract(stream io.Reader, root string) (Count, error) {
	archive, err := plain(bufio.NewReaderSize(stream, readAhead))
	if err != nil {
		return Count{}, err
	}
	tree := newTree(root)
	workers := newWorkers(writers)
	count, err := readAll(tar.NewReader(archive), tree, workers)
	return count, errors.Join(err, workers.finish())
}

// The laptop decides by its first bytes whether packing pays.
func plain(stream *bufio.Reader) (io.Reader, error) {
	if magic, _ := stream.Peek(2); string(magic) != "\x1f\x8b" {
		return stream, nil
	}
	return gzip.NewReader(stream)
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
		return regular(archive, header, path, workers)
	}
	return fmt.Errorf("entries of type %q are not taken", header.Typeflag)
}

func regular(archive *tar.Reader, header *tar.Header, path string, workers *workers) error {
	if header.Size > small {
		return writeFile(path, mode(header), header.ModTime, archive)
	}
	content := make([]byte, header.Size)
	if _, err := io.ReadFull(archive, content); err != nil {
		return err
	}
	return workers.write(path, mode(header), header.ModTime, content)
}

// Only the executable bit travels; the rest is the umask's.
func mode(header *tar.Header) fs.FileMode {
	if header.Mode&0o100 != 0 {
		return 0o777
	}
	return 0o666
}
