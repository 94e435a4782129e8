//go:build linux

package watch

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func watching(t *testing.T, directories ...string) (string, *tree) {
	t.Helper()
	root := t.TempDir()
	for _, one := range directories {
		if err := os.MkdirAll(filepath.Join(root, one), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	skip := func(path string, directory bool) bool { return directory && filepath.Base(path) == "skipped" }
	found, err := Local(root, skip, func(State) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(found.Close)
	if _, any := found.Take(); !any || !found.Live() {
		t.Error("at first anything may have changed")
	}
	return root, found.(*tree)
}

func write(t *testing.T, parts ...string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(parts...), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestWhatWasChangedBeforeTheQuestionIsAnswered(t *testing.T) {
	root, w := watching(t, "d")
	for range 100 {
		write(t, root, "d", "f")
		if paths, any := w.Take(); any || !paths["d/f"] || len(paths) != 1 {
			t.Fatal(paths, any)
		}
	}
}

func TestWhatIsSkippedIsNotNoted(t *testing.T) {
	root, w := watching(t, "skipped", "d/skipped")
	write(t, root, "skipped", "f")
	write(t, root, "d", "skipped", "f")
	write(t, root, "d", ".mutagen-temporary-x")
	if paths, any := w.Take(); any || len(paths) > 0 {
		t.Error(paths, any)
	}
}

func TestWhatWasMovedAwayIsNoLongerWatched(t *testing.T) {
	root, w := watching(t, "d/e")
	away := filepath.Join(t.TempDir(), "away")
	if err := os.Rename(filepath.Join(root, "d"), away); err != nil {
		t.Fatal(err)
	}
	w.Take()
	write(t, away, "e", "f")
	if paths, any := w.Take(); any || len(paths) > 0 {
		t.Error(paths, any)
	}
}

func TestWhereTheKernelLostEventsAnythingMayHaveChanged(t *testing.T) {
	root, w := watching(t, "d")
	_ = w.raw.Control(func(descriptor uintptr) {
		w.lock.Lock()
		defer w.lock.Unlock()
		w.one(int(descriptor), &unix.InotifyEvent{Wd: -1, Mask: unix.IN_Q_OVERFLOW}, "")
	})
	if _, any := w.Take(); !any {
		t.Error("only some")
	}
	write(t, root, "d", "f")
	if paths, any := w.Take(); any || !paths["d/f"] {
		t.Error(paths, any)
	}
}

func TestManyChangesAreOneOfEverything(t *testing.T) {
	root, w := watching(t)
	for n := range many + 1 {
		if err := os.Mkdir(filepath.Join(root, "d"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(root, "d"), filepath.Join(root, "d"+string(rune('a'+n%26))+string(rune('A'+n/26)))); err != nil {
			t.Fatal(err)
		}
	}
	if paths, any := w.Take(); !any || paths != nil {
		t.Error(len(paths), any)
	}
}
