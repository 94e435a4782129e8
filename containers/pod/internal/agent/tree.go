package agent

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
)

const (
	treeName    = "tree.tar.gz"
	treeLargest = 64 << 20
)

// furnishTree unpacks the Secret's `tree.tar.gz` into the home directory: files and directories, each where nothing of
// that name is. What the coding agent has written since belongs to it.
func furnishTree(secrets, home string) error {
	packed, err := os.Open(filepath.Join(secrets, treeName))
	if err != nil {
		return nil
	}
	defer packed.Close()
	plain, err := gzip.NewReader(packed)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(home)
	if err != nil {
		return err
	}
	defer root.Close()
	return unpack(tar.NewReader(io.LimitReader(plain, treeLargest)), root)
}

func unpack(tree *tar.Reader, root *os.Root) error {
	var failures []error
	for {
		head, err := tree.Next()
		if err == io.EOF {
			return errors.Join(failures...)
		}
		if err != nil {
			return errors.Join(append(failures, err)...)
		}
		if head.Typeflag != tar.TypeReg {
			continue
		}
		if err = lay(tree, root, path.Clean(head.Name), os.FileMode(head.Mode).Perm()|0o600); err != nil && !os.IsExist(err) {
			failures = append(failures, err)
		}
	}
}

func lay(content io.Reader, root *os.Root, name string, mode os.FileMode) error {
	for at := range name {
		if name[at] == '/' {
			if err := root.Mkdir(name[:at], 0o700); err != nil && !os.IsExist(err) {
				return err
			}
		}
	}
	file, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	if closed := file.Close(); err == nil {
		err = closed
	}
	return err
}
