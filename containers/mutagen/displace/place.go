package displace

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"github.com/mutagen-io/mutagen/pkg/filesystem"
	"github.com/mutagen-io/mutagen/pkg/synchronization/core"
)

const journalName = "journal"

// place is the directory in which what was taken lies until it is known. A journal says what each is, for the case
// that this process is killed meanwhile.
type place struct {
	directory string
	journal   *os.File
	count     int
}

// taken is one line of the journal.
type taken struct {
	Number int
	Path   string
	Old    *core.Entry
	New    *core.Entry
}

// choosePlace: beside mutagen's data, or in the root itself where that is another file system, by a name that no sync
// takes notice of.
func choosePlace(root, session string) (place, error) {
	directory, err := filesystem.Mutagen(true, "displaced")
	if err != nil {
		return place{}, err
	}
	if sameDevice(root, directory) {
		return place{directory: filepath.Join(directory, session)}, nil
	}
	return place{directory: filepath.Join(root, filesystem.TemporaryNamePrefix+"paude-"+session)}, nil
}

func sameDevice(one, other string) bool {
	var a, b syscall.Stat_t
	return syscall.Stat(one, &a) != nil || syscall.Stat(other, &b) != nil || a.Dev == b.Dev
}

// note gives the place for what will be taken from a path, once the journal says so.
func (p *place) note(path string, old, new *core.Entry) (string, error) {
	if p.journal == nil {
		if err := os.MkdirAll(p.directory, 0o700); err != nil {
			return "", err
		}
		file, err := os.OpenFile(filepath.Join(p.directory, journalName), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return "", err
		}
		p.journal = file
	}
	p.count++
	line, err := json.Marshal(taken{p.count, path, leaf(old), leaf(new)})
	if err != nil {
		return "", err
	}
	// On a line of its own, also behind one that a full disk has cut.
	_, err = p.journal.Write(slices.Concat([]byte("\n"), line, []byte("\n")))
	return p.of(p.count), err
}

func leaf(e *core.Entry) *core.Entry {
	if e == nil {
		return nil
	}
	return &core.Entry{Kind: e.Kind, Digest: e.Digest, Executable: e.Executable, Target: e.Target}
}

func (p *place) of(number int) string { return filepath.Join(p.directory, strconv.Itoa(number)) }

// clear forgets the journal, unless something still lies here that nobody could put back.
func (p *place) clear() {
	if p.journal == nil {
		return
	}
	if !p.empty() {
		return
	}
	p.journal.Close()
	p.journal, p.count = nil, 0
	p.remove()
}

// remove takes away the journal and the directory, and nothing else: the end of a connection that broke may still be at
// work here.
func (p *place) remove() {
	os.Remove(filepath.Join(p.directory, journalName))
	os.Remove(p.directory)
}

// empty says that nothing lies here but the journal.
func (p *place) empty() bool {
	names, err := os.ReadDir(p.directory)
	return err == nil && !slices.ContainsFunc(names, func(e fs.DirEntry) bool { return e.Name() != journalName })
}

// left reads the journal of a process that was killed. A line that was cut tells nothing: before it was whole, nothing
// was taken. No number is given again of which something lies here still.
func (p *place) left() ([]taken, error) {
	data, err := os.ReadFile(filepath.Join(p.directory, journalName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var found []taken
	for _, line := range bytes.Split(data, []byte("\n")) {
		var one taken
		if json.Unmarshal(line, &one) == nil && one.Old != nil {
			found = append(found, one)
		}
	}
	entries, err := os.ReadDir(p.directory)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, entry := range entries {
		if number, err := strconv.Atoi(entry.Name()); err == nil {
			p.count = max(p.count, number)
		}
	}
	return found, nil
}

func moveOrCopy(from, to string) error {
	if err := os.Rename(from, to); !errors.Is(err, syscall.EXDEV) {
		return err
	}
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	facts, err := source.Stat()
	if err != nil {
		return err
	}
	copied, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, facts.Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(copied, source)
	if err == nil {
		err = copied.Chmod(facts.Mode().Perm())
	}
	if err = errors.Join(err, copied.Close()); err != nil {
		os.Remove(to)
		return err
	}
	return os.Remove(from)
}
