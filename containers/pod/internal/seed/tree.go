package seed

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// tree makes directories below root and never walks through a link.
type tree struct {
	root  string
	known map[string]bool // directories that are real ones
}

var errOutside = errors.New("the name leads out of the workspace")

func newTree(root string) *tree {
	return &tree{root, map[string]bool{".": true}}
}

// place gives the path for an entry and makes the directories above it.
func (t *tree) place(name string) (string, error) {
	if !inside(name) {
		return "", errOutside
	}
	clean := filepath.Clean(name)
	return filepath.Join(t.root, clean), t.directory(filepath.Dir(clean))
}

func inside(name string) bool {
	if name == "" || strings.ContainsRune(name, 0) {
		return false
	}
	return filepath.IsLocal(name)
}

// directory makes the directory at a clean relative path. A link or a file in its place, left by an earlier stream,
// gives way.
func (t *tree) directory(relative string) error {
	if t.known[relative] {
		return nil
	}
	if err := t.directory(filepath.Dir(relative)); err != nil {
		return err
	}
	path := filepath.Join(t.root, relative)
	if err := makeReal(path); err != nil {
		return err
	}
	t.known[relative] = true
	return nil
}

func makeReal(path string) error {
	err := os.Mkdir(path, 0o777)
	if !errors.Is(err, os.ErrExist) {
		return err
	}
	info, err := os.Lstat(path)
	if err != nil || info.IsDir() {
		return err
	}
	if err = os.Remove(path); err != nil {
		return err
	}
	return os.Mkdir(path, 0o777)
}
