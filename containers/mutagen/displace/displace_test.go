package displace

import (
	"context"
	"crypto/sha1"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/mutagen-io/mutagen/pkg/synchronization"
	"github.com/mutagen-io/mutagen/pkg/synchronization/core"
)

// provider stages contents by themselves.
type provider struct{ directory string }

func (p provider) Provide(_ string, digest []byte) (string, error) {
	return filepath.Join(p.directory, string(digest[:1])), nil
}

func file(content string) *core.Entry {
	sum := sha1.Sum([]byte(content))
	return &core.Entry{Kind: core.EntryKind_File, Digest: sum[:]}
}

func directory(contents map[string]*core.Entry) *core.Entry {
	return &core.Entry{Kind: core.EntryKind_Directory, Contents: contents}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func expect(t *testing.T, path, content string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != content {
		t.Fatalf("%s holds %q (%v), not %q", path, got, err, content)
	}
}

func absent(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("%s is there", path)
	}
}

// mover gives one for a fresh root, with each content staged.
func mover(t *testing.T, staged ...string) *Mover {
	t.Helper()
	top := t.TempDir()
	p := provider{filepath.Join(top, "staged")}
	for _, content := range staged {
		name, _ := p.Provide("", file(content).Digest)
		write(t, name, content)
	}
	root := filepath.Join(top, "root")
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	return &Mover{root: root, place: place{directory: filepath.Join(top, "taken")}, provider: p, look: look{sha1.New, true}, mode: 0o644, log: t.Logf}
}

func (m *Mover) one(c *core.Change) *Outcome { return m.Apply(context.Background(), []*core.Change{c}) }

func TestAFileIsReplacedByWhatWasStaged(t *testing.T) {
	m := mover(t, "theirs")
	path := filepath.Join(m.root, "d", "f")
	write(t, path, "old")
	done := m.one(&core.Change{Path: "d/f", Old: file("old"), New: file("theirs")})
	expect(t, path, "theirs")
	if len(done.Rest) != 0 || !done.Results[0].Equal(file("theirs"), true) {
		t.Errorf("%+v", done)
	}
	absent(t, m.place.directory)
}

func TestWhatWasWrittenAtTheLastMomentStays(t *testing.T) {
	m := mover(t, "theirs")
	path := filepath.Join(m.root, "f")
	write(t, path, "mine, a moment ago")
	done := m.one(&core.Change{Path: "f", Old: file("old"), New: file("theirs")})
	expect(t, path, "mine, a moment ago")
	if !done.Results[0].Equal(file("old"), true) {
		t.Error("the change is said to have been made")
	}
	absent(t, m.place.directory)
}

func TestAnExecutableBitOfTheLastMomentStays(t *testing.T) {
	m := mover(t, "theirs")
	path := filepath.Join(m.root, "f")
	write(t, path, "old")
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
	m.one(&core.Change{Path: "f", Old: file("old"), New: file("theirs")})
	expect(t, path, "old")
}

func TestAnExecutableBitThatIsNotKeptIsNotCompared(t *testing.T) {
	m := mover(t, "theirs")
	m.look.keepsExecutability = false
	path := filepath.Join(m.root, "f")
	write(t, path, "old")
	old := file("old")
	old.Executable = true // as the other end has it
	m.one(&core.Change{Path: "f", Old: old, New: file("theirs")})
	expect(t, path, "theirs")
}

func TestOfADirectoryOnlyTheExpectedIsRemoved(t *testing.T) {
	m := mover(t)
	write(t, filepath.Join(m.root, "d", "same"), "same")
	write(t, filepath.Join(m.root, "d", "e", "edited"), "mine")
	write(t, filepath.Join(m.root, "d", "new"), "new")
	old := directory(map[string]*core.Entry{"same": file("same"), "e": directory(map[string]*core.Entry{"edited": file("old")})})
	done := m.one(&core.Change{Path: "d", Old: old})
	absent(t, filepath.Join(m.root, "d", "same"))
	expect(t, filepath.Join(m.root, "d", "e", "edited"), "mine")
	expect(t, filepath.Join(m.root, "d", "new"), "new")
	left := directory(map[string]*core.Entry{"e": directory(map[string]*core.Entry{"edited": file("old")})})
	if !done.Results[0].Equal(left, true) {
		t.Errorf("left is %v", done.Results[0])
	}
}

func TestALinkThatTookADirectorysPlaceIsNotFollowed(t *testing.T) {
	m := mover(t, "theirs")
	outside := filepath.Join(filepath.Dir(m.root), "outside")
	write(t, filepath.Join(outside, "f"), "old")
	if err := os.Symlink(outside, filepath.Join(m.root, "d")); err != nil {
		t.Fatal(err)
	}
	m.one(&core.Change{Path: "d/f", Old: file("old"), New: file("theirs")})
	m.one(&core.Change{Path: "d/f", Old: file("old")})
	expect(t, filepath.Join(outside, "f"), "old")
}

func TestWhatReplacesADirectoryIsLeftToMutagen(t *testing.T) {
	m := mover(t)
	write(t, filepath.Join(m.root, "d", "f"), "old")
	link := &core.Entry{Kind: core.EntryKind_SymbolicLink, Target: "x"}
	done := m.one(&core.Change{Path: "d", Old: directory(map[string]*core.Entry{"f": file("old")}), New: link})
	absent(t, filepath.Join(m.root, "d"))
	if len(done.Rest) != 1 || done.Rest[0].Old != nil || done.Rest[0].New != link {
		t.Errorf("%+v", done)
	}
}

func TestWhatAKilledProcessHadTakenComesBack(t *testing.T) {
	for _, c := range []struct {
		name, lies, now, wanted, beside string
	}{
		{"it was as expected", "old", "theirs", "theirs", ""},
		{"nothing had been exchanged", "theirs", "old", "old", ""},
		{"it was changed", "mine", "theirs", "theirs", "mine"},
		{"it was changed and is gone", "mine", "", "mine", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := mover(t)
			path := filepath.Join(m.root, "a.txt")
			at, err := m.place.note("a.txt", file("old"), file("theirs"))
			if err != nil {
				t.Fatal(err)
			}
			write(t, at, c.lies)
			if c.now != "" {
				write(t, path, c.now)
			}
			again := *m
			again.place = place{directory: m.place.directory}
			if err := again.recover(); err != nil {
				t.Fatal(err)
			}
			expect(t, path, c.wanted)
			if c.beside != "" {
				expect(t, filepath.Join(m.root, "a.mine.txt"), c.beside)
			}
			absent(t, m.place.directory)
		})
	}
}

func TestAJournalThatAFullDiskCutIsReadAllTheSame(t *testing.T) {
	m := mover(t)
	write(t, filepath.Join(m.place.directory, journalName), `{"Number":1,"Path":"cut`)
	write(t, filepath.Join(m.place.directory, "3"), "of a line that is lost")
	taken, err := m.place.note("f", file("old"), nil)
	if err != nil {
		t.Fatal(err)
	}
	write(t, taken, "mine")

	killed := &Mover{root: m.root, place: place{directory: m.place.directory}, provider: m.provider, look: m.look, mode: m.mode, log: t.Logf}
	if err := killed.recover(); err != nil {
		t.Fatal(err)
	}
	expect(t, filepath.Join(m.root, "f"), "mine")
	if _, err := killed.place.note("g", file("old"), nil); err != nil || killed.place.count != 4 {
		t.Fatalf("number %d is given again (%v)", killed.place.count, err)
	}
}

func TestWhatCameAndWasEditedAtOnceLiesBesideTheOther(t *testing.T) {
	m := mover(t)
	write(t, filepath.Join(m.root, "f"), "theirs, edited")
	at, err := m.place.note("f", file("old"), file("theirs"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, at, "mine")
	parent, name, err := m.parent("f")
	if err != nil {
		t.Fatal(err)
	}
	defer parent.Close()
	m.back(at, parent, name, "f", file("theirs"))
	expect(t, filepath.Join(m.root, "f"), "mine")
	expect(t, filepath.Join(m.root, "f.mine"), "theirs, edited")
}

// pausing lets something happen in the middle of a change.
type pausing struct {
	provider
	meanwhile func()
}

func (p pausing) Provide(path string, digest []byte) (string, error) {
	p.meanwhile()
	return p.provider.Provide(path, digest)
}

// nothing is left to add.
func nothing(context.Context, []*core.Change) ([]*core.Entry, []*core.Problem, bool) {
	return nil, nil, false
}

func newMover(t *testing.T, ctx context.Context, root string) (*Mover, error) {
	t.Helper()
	return New(ctx, root, "sync_x", false, synchronization.Version_Version1, &synchronization.Configuration{}, t.Logf)
}

func TestANewConnectionWaitsForTheOneBeforeAndThenTakesItsPlace(t *testing.T) {
	t.Setenv("MUTAGEN_DATA_DIRECTORY", t.TempDir())
	ready := mover(t, "first", "second")
	path := filepath.Join(ready.root, "f")
	write(t, path, "old")
	earlier, err := newMover(t, context.Background(), ready.root)
	if err != nil {
		t.Fatal(err)
	}
	atOnce, cancel := context.WithCancel(context.Background())
	cancel()
	earlier.provider = pausing{ready.provider.(provider), func() {
		if _, err := newMover(t, atOnce, ready.root); err == nil {
			t.Error("two movers are at work in one place")
		}
	}}
	change := func(from, to string) []*core.Change {
		return []*core.Change{{Path: "f", Old: file(from), New: file(to)}}
	}
	if _, _, _, err := earlier.Transition(context.Background(), nothing, change("old", "first")); err != nil {
		t.Fatal(err)
	}
	expect(t, path, "first")

	newer, err := newMover(t, context.Background(), ready.root)
	if err != nil {
		t.Fatal(err)
	}
	newer.provider = ready.provider
	late := change("first", "second")
	if _, _, _, err := earlier.Transition(context.Background(), nothing, late); !errors.Is(err, ErrSuperseded) {
		t.Errorf("what the lost connection still asked for was done (%v)", err)
	}
	expect(t, path, "first")
	if _, _, _, err := newer.Transition(context.Background(), nothing, late); err != nil {
		t.Fatal(err)
	}
	expect(t, path, "second")
}
