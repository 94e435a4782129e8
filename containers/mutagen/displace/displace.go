// Package displace makes the part of a transition that takes something away. What is replaced or removed is taken out
// of the tree first and looked at only then: whatever came into it at the last moment (a write into the open file, a
// save over it) is in what was taken, so it is seen and put back, and nothing that a user wrote is lost.
package displace

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/mutagen-io/mutagen/pkg/filesystem"
	"github.com/mutagen-io/mutagen/pkg/filesystem/behavior"
	"github.com/mutagen-io/mutagen/pkg/synchronization"
	"github.com/mutagen-io/mutagen/pkg/synchronization/core"
	"github.com/mutagen-io/mutagen/pkg/synchronization/endpoint/local/staging"
)

// Mover displaces what lies below one root.
type Mover struct {
	root     string
	turn     turn
	place    place
	provider core.Provider
	look     look
	mode     filesystem.Mode
	log      func(format string, arguments ...any)
}

// Outcome is what became of a transition. Rest are the changes that only add something, or that this package leaves to
// mutagen; Places says where each belongs among the results.
type Outcome struct {
	Results  []*core.Entry
	Problems []*core.Problem
	Rest     []*core.Change
	Places   []int
}

// New gives the mover for one end of a session, once an earlier one has ended what it had begun, and puts back what one
// was killed with.
func New(ctx context.Context, root, session string, alpha bool, version synchronization.Version, c *synchronization.Configuration, log func(string, ...any)) (*Mover, error) {
	root, err := filesystem.Normalize(root)
	if err != nil {
		return nil, err
	}
	algorithm := c.HashingAlgorithm
	if algorithm.IsDefault() {
		algorithm = version.DefaultHashingAlgorithm()
	}
	mode := filesystem.Mode(c.DefaultFileMode)
	if mode == 0 {
		mode = version.DefaultFileMode()
	}
	staged, err := StagingRoot(session, alpha)
	if err != nil {
		return nil, err
	}
	provider := staging.NewStager(staged, false, 0, algorithm.Factory())
	m := &Mover{root: root, provider: provider, look: look{algorithm.Factory(), keepsExecutability(root, version, c)}, mode: mode, log: log}
	if err := provider.Initialize(); err != nil {
		return nil, err
	}
	if m.place, err = choosePlace(root, session); err != nil {
		return nil, err
	}
	if m.turn, err = newTurn(session); err != nil {
		return nil, err
	}
	return m, m.takeOver(ctx)
}

// takeOver makes this the mover that works from now on, and puts right what another left.
func (m *Mover) takeOver(ctx context.Context) error {
	mine, err := m.turn.claim(ctx)
	if err != nil {
		return err
	}
	defer mine.Close()
	return m.recover()
}

// keepsExecutability answers as mutagen's own endpoint does. In doubt the bit counts: nothing is taken that differs.
func keepsExecutability(root string, version synchronization.Version, c *synchronization.Configuration) bool {
	mode := c.ProbeMode
	if mode.IsDefault() {
		mode = version.DefaultProbeMode()
	}
	keeps, _, err := behavior.PreservesExecutabilityByPath(root, mode)
	return keeps || err != nil
}

// StagingRoot is where the content that comes to an end waits for its transition, as with mutagen's own.
func StagingRoot(session string, alpha bool) (string, error) {
	directory, err := filesystem.Mutagen(true, filesystem.MutagenSynchronizationStagingDirectoryName)
	end := "beta"
	if alpha {
		end = "alpha"
	}
	return filepath.Join(directory, session+"-"+end), err
}

// Add makes changes that take nothing away. It gives what came of each, the problems, and whether staged content is missing.
type Add func(ctx context.Context, changes []*core.Change) ([]*core.Entry, []*core.Problem, bool)

// Transition makes the changes: the mover takes away what has to go, and add makes the rest. Only the newest mover of a
// session may; for an earlier one it fails with ErrSuperseded.
func (m *Mover) Transition(ctx context.Context, add Add, changes []*core.Change) ([]*core.Entry, []*core.Problem, bool, error) {
	mine, err := m.turn.take(ctx)
	if err != nil {
		return nil, nil, false, err
	}
	defer mine.Close()
	done := m.Apply(ctx, changes)
	made, problems, missing := add(ctx, done.Rest)
	for k, entry := range made {
		done.Results[done.Places[k]] = entry
	}
	return done.Results, append(done.Problems, problems...), missing, nil
}

// Apply makes every change that takes something away; what is left of it to do is in the outcome's Rest. A change
// whose old content is not what was expected is not made, and its result says so: both ends have changed it.
func (m *Mover) Apply(ctx context.Context, changes []*core.Change) *Outcome {
	done := &Outcome{Results: make([]*core.Entry, len(changes))}
	defer m.place.clear()
	for i, c := range changes {
		if ctx.Err() != nil {
			done.Results[i] = c.Old
			done.problem(c.Path, errors.New("cancelled"))
			continue
		}
		m.apply(c, i, done)
	}
	return done
}

func (m *Mover) apply(c *core.Change, i int, done *Outcome) {
	switch {
	case c.Path == "" || c.Old == nil || sameFile(c.Old, c.New):
		done.leave(c, i)
	case isFile(c.Old) && isFile(c.New):
		m.replace(c, i, done)
	default:
		done.Results[i] = m.remove(c, done)
		if done.Results[i] == nil && c.New != nil {
			done.leave(&core.Change{Path: c.Path, New: c.New}, i)
		}
	}
}

// replace puts the staged file into the old one's place, at no moment without one, and looks at the old one then.
func (m *Mover) replace(c *core.Change, i int, done *Outcome) {
	parent, name, err := m.parent(c.Path)
	if err != nil {
		done.keep(c, i, err)
		return
	}
	defer parent.Close()
	taken, err := m.place.note(c.Path, c.Old, c.New)
	if err != nil {
		done.leave(c, i)
		return
	}
	if err := m.stage(c, taken); err != nil {
		done.leave(c, i) // mutagen says what is missing, and asks for it again
		return
	}
	switch err := exchange(taken, parent, name); {
	case errors.Is(err, errUnsupported):
		if m.unstage(c, taken) == nil {
			done.leave(c, i)
			return
		}
		done.keep(c, i, err)
	case err != nil:
		os.Remove(taken)
		done.keep(c, i, err)
	case m.look.is(taken, c.Old):
		os.Remove(taken)
		done.Results[i] = c.New
	default:
		m.back(taken, parent, name, c.Path, c.New)
		done.keep(c, i, nil)
	}
}

// stage brings the staged file to where it can be exchanged from.
func (m *Mover) stage(c *core.Change, taken string) error {
	staged, err := m.provider.Provide(c.Path, c.New.Digest)
	if err != nil {
		return err
	}
	mode := m.mode
	if c.New.Executable {
		mode |= mode & 0o444 >> 2
	}
	if err := os.Chmod(staged, os.FileMode(mode)&0o777); err != nil {
		return err
	}
	return moveOrCopy(staged, taken)
}

func (m *Mover) unstage(c *core.Change, taken string) error {
	staged, err := m.provider.Provide(c.Path, c.New.Digest)
	if err != nil {
		return err
	}
	return moveOrCopy(taken, staged)
}

// remove gives what is left of the old content.
func (m *Mover) remove(c *core.Change, done *Outcome) *core.Entry {
	parent, name, err := m.parent(c.Path)
	if err != nil {
		done.problem(c.Path, err)
		return c.Old
	}
	defer parent.Close()
	return m.take(parent, name, c.Path, c.Old, done)
}

func (m *Mover) take(parent *filesystem.Directory, name, path string, old *core.Entry, done *Outcome) *core.Entry {
	if old.Kind == core.EntryKind_Directory {
		return m.takeDirectory(parent, name, path, old, done)
	}
	taken, err := m.place.note(path, old, nil)
	if err == nil {
		err = filesystem.Rename(parent, name, nil, taken, true)
	}
	if err != nil {
		done.problem(path, fmt.Errorf("unable to remove: %w", err))
		return old
	}
	if !m.look.is(taken, old) {
		m.back(taken, parent, name, path, nil)
		return old
	}
	os.Remove(taken)
	return nil
}

func (m *Mover) takeDirectory(parent *filesystem.Directory, name, path string, old *core.Entry, done *Outcome) *core.Entry {
	directory, err := parent.OpenDirectory(name)
	if err != nil {
		done.problem(path, fmt.Errorf("unable to open directory: %w", err))
		return old
	}
	defer directory.Close()
	names, err := directory.ReadContentNames()
	if err != nil {
		done.problem(path, fmt.Errorf("unable to read directory: %w", err))
		return old
	}
	left := &core.Entry{Kind: core.EntryKind_Directory, Contents: map[string]*core.Entry{}}
	for _, n := range names {
		child := old.Contents[n]
		if child == nil {
			done.problem(path+"/"+n, errors.New("unknown content encountered on disk"))
			continue
		}
		if remains := m.take(directory, n, path+"/"+n, child, done); remains != nil {
			left.Contents[n] = remains
		}
	}
	if err := parent.RemoveDirectory(name); err != nil {
		done.problem(path, fmt.Errorf("unable to remove directory: %w", err))
		return left
	}
	return nil
}

// parent opens the directory of a path that is there, in just that spelling.
func (m *Mover) parent(path string) (*filesystem.Directory, string, error) {
	directory, name, err := m.directory(path)
	if err != nil {
		return nil, "", err
	}
	if err := spelledSo(directory, name); err != nil {
		directory.Close()
		return nil, "", err
	}
	return directory, name, nil
}

// directory opens the directory of a path part by part, through no link.
func (m *Mover) directory(path string) (*filesystem.Directory, string, error) {
	parts := strings.Split(path, "/")
	directory, _, err := filesystem.OpenDirectory(m.root, false)
	if err != nil {
		return nil, "", err
	}
	for _, part := range parts[:len(parts)-1] {
		inner, err := spelled(directory, part)
		directory.Close()
		if err != nil {
			return nil, "", err
		}
		directory = inner
	}
	return directory, parts[len(parts)-1], nil
}

func spelled(directory *filesystem.Directory, name string) (*filesystem.Directory, error) {
	if err := spelledSo(directory, name); err != nil {
		return nil, err
	}
	return directory.OpenDirectory(name)
}

func (o *Outcome) leave(c *core.Change, i int) {
	o.Rest = append(o.Rest, c)
	o.Places = append(o.Places, i)
}

// keep says that a change was not made; what it found instead is seen in the next cycle.
func (o *Outcome) keep(c *core.Change, i int, err error) {
	o.Results[i] = c.Old
	if err != nil {
		o.problem(c.Path, err)
	}
}

func (o *Outcome) problem(path string, err error) {
	o.Problems = append(o.Problems, &core.Problem{Path: path, Error: err.Error()})
}

func isFile(e *core.Entry) bool { return e != nil && e.Kind == core.EntryKind_File }

// sameFile: only the executable bit differs, no content is taken away.
func sameFile(one, other *core.Entry) bool {
	return isFile(one) && isFile(other) && string(one.Digest) == string(other.Digest)
}
