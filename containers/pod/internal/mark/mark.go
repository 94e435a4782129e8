// Package mark keeps small facts in files: whole or not at all, and still there after a crash.
package mark

import (
	"os"
	"path/filepath"
	"strings"
)

// Write puts text into the file at path, atomically and durably.
func Write(path, text string) error {
	if err := Put(path, text, true); err != nil {
		return err
	}
	return syncDirectory(filepath.Dir(path))
}

// Put puts text into the file at path atomically; durable also waits for the disk.
func Put(path, text string, durable bool) error {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	if _, err = file.WriteString(text); err != nil {
		return err
	}
	if err = file.Chmod(0o664); err != nil {
		return err
	}
	if durable {
		if err = file.Sync(); err != nil {
			return err
		}
	}
	return os.Rename(file.Name(), path)
}

// Read gives the text of the file at path, without white space around it, and whether there is one.
func Read(path string) (string, bool) {
	text, err := os.ReadFile(path)
	return strings.TrimSpace(string(text)), err == nil
}

// Exists tells whether there is something at path.
func Exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// Remove takes the file at path away, durably; one that is not there is no error.
func Remove(path string) error {
	if err := os.Remove(path); err != nil {
		if os.IsNotExist(err) {
			return nil
		}
		return err
	}
	return syncDirectory(filepath.Dir(path))
}

func syncDirectory(path string) error {
	directory, err := os.Open(path)
	if err != nil {
		return err
	}
	defer directory.Close()
	return directory.Sync()
}
