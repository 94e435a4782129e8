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

// mostFlagged bounds the list, whatever the agent does.
const mostFlagged = 1000

// Held is a path of the pod that was not let out. Change is `new`, `changed` or `deleted`; Why is `guard` (tier 1),
// `ignored` (the laptop holds the path back, so it takes none of that name either) or `depth`.
type Held struct {
	Path   string `json:"path"`
	Change string `json:"change"`
	Why    string `json:"why"`
}

// Brake is a removal of very many files that waits for the user's word. Side is where they would be removed.
type Brake struct {
	Side    string `json:"side"`
	Files   int    `json:"files"`
	Of      int    `json:"of"`
	Example string `json:"example"`
}

// Flagged is a path that came out of the pod and that tools on the laptop may run once the user calls them.
type Flagged struct {
	Path   string `json:"path"`
	Change string `json:"change"`
	Time   string `json:"time"` // RFC 3339
}

// Content is what the file holds.
type Content struct {
	Held         []Held   `json:"held"`
	Conflicts    []string `json:"conflicts"`
	Local        string   `json:"local"`
	Remote       string   `json:"remote"`
	ConnectError string   `json:"connect_error"`
	Settled      string   `json:"settled"` // when the last cycle ended, RFC 3339

	Fence   string    `json:"fence"`  // why nothing travels: other branches are checked out
	Locked  []string  `json:"locked"` // the ends whose git index has a lock that nobody takes away
	Brakes  []Brake   `json:"brakes"`
	Flagged []Flagged `json:"flagged"` // the newest of each path, in the order in which they came
}

// Brake notes, or forgets with nil, what waits at one end.
func (c *Content) Brake(side string, one *Brake) {
	c.Brakes = slices.DeleteFunc(c.Brakes, func(b Brake) bool { return b.Side == side })
	if one != nil {
		c.Brakes = append(c.Brakes, *one)
	}
}

// Flag notes what came out.
func (c *Content) Flag(one Flagged) {
	c.Flagged = slices.DeleteFunc(c.Flagged, func(f Flagged) bool { return f.Path == one.Path })
	c.Flagged = append(c.Flagged, one)
	c.Flagged = c.Flagged[max(0, len(c.Flagged)-mostFlagged):]
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
	file := &File{path: filepath.Join(directory, session+".json")}
	if data, err := os.ReadFile(file.path); err == nil { // what came out is known beyond the life of this process
		var known Content
		if json.Unmarshal(data, &known) == nil {
			file.content.Flagged, file.content.Fence = known.Flagged, known.Fence
		}
	}
	return file, nil
}

// Fenced says that files did not travel when this was written last.
func (f *File) Fenced() bool {
	f.lock.Lock()
	defer f.lock.Unlock()
	return f.content.Fence != ""
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
