// Package report keeps, for each session, one file of what mutagen's own state does not tell: which paths are held,
// all conflicts (mutagen lists ten), and how changes are noticed at each end.
package report

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/mutagen-io/mutagen/pkg/filesystem"
)

// Held is a path of the pod that was not let out. Change is `new`, `changed` or `deleted`; Why is `guard` (tier 1)
// or `ignored` (the laptop holds the path back, so it takes none of that name either).
type Held struct {
	Path   string `json:"path"`
	Change string `json:"change"`
	Why    string `json:"why"`
}

// Content is what the file holds.
type Content struct {
	Held         []Held   `json:"held"`
	Conflicts    []string `json:"conflicts"`
	Local        string   `json:"local"`
	Remote       string   `json:"remote"`
	ConnectError string   `json:"connect_error"`
	Settled      string   `json:"settled"` // when the last cycle ended, RFC 3339
}

// File is the report of one session.
type File struct {
	lock    sync.Mutex
	path    string
	content Content
	written []byte
}

// Open gives the report of a session; it lies in `reports/` of mutagen's data directory.
func Open(session string) (*File, error) {
	directory, err := filesystem.Mutagen(true, "reports")
	if err != nil {
		return nil, err
	}
	return &File{path: filepath.Join(directory, session+".json")}, nil
}

// Update changes the content and writes the file when that makes a difference; a reader never sees half of it.
func (f *File) Update(change func(*Content)) error {
	f.lock.Lock()
	defer f.lock.Unlock()
	change(&f.content)
	data, err := json.Marshal(f.content)
	if err != nil || slices.Equal(data, f.written) {
		return err
	}
	if err := os.WriteFile(f.path+".new", append(data, '\n'), 0o600); err != nil {
		return err
	}
	f.written = data
	return os.Rename(f.path+".new", f.path)
}
