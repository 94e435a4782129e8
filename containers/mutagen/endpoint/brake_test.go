package endpoint

import (
	"fmt"
	"testing"
	"time"

	"github.com/mutagen-io/mutagen/pkg/synchronization/core"
)

func files(prefix string, count int) map[string]*core.Entry {
	found := map[string]*core.Entry{}
	for n := range count {
		name := fmt.Sprintf("%s%d", prefix, n)
		found[name] = file(name)
	}
	return found
}

func folder(contents map[string]*core.Entry) *core.Entry {
	return &core.Entry{Kind: core.EntryKind_Directory, Contents: contents}
}

func end(files, deletes int) *watched {
	return &watched{last: &core.Snapshot{Files: uint64(files)}, limits: limits{Deletes: deletes}, side: "laptop", name: "none"}
}

func TestARemovalOfMostFilesIsStopped(t *testing.T) {
	t.Setenv("MUTAGEN_DATA_DIRECTORY", t.TempDir())
	for _, c := range []struct {
		removed, of, deletes int
		stopped              bool
	}{{90, 100, 1000, true}, {50, 100, 1000, true}, {49, 100, 1000, false}, {24, 24, 1000, false}, {1001, 100_000, 1000, true}, {1000, 100_000, 1000, false}} {
		change := &core.Change{Path: "d", Old: folder(files("f", c.removed))}
		got := end(c.of, c.deletes).brake([]*core.Change{change})
		if (got != nil) != c.stopped {
			t.Errorf("%+v: %+v", c, got)
		}
	}
}

func TestWhatMovedOrChangedIsNotRemoved(t *testing.T) {
	old := folder(files("f", 100))
	moved := []*core.Change{{Path: "d", Old: old}, {Path: "e", New: old}}
	if removed, _ := removals(moved); removed != 0 {
		t.Errorf("%d of the moved files count", removed)
	}
	if removed, _ := removals([]*core.Change{{Path: "f", Old: file("a"), New: file("b")}}); removed != 0 {
		t.Error("an edit counts")
	}
	removed, example := removals([]*core.Change{{Path: "d", Old: folder(files("f", 3)), New: file("x")}})
	if removed != 3 || example != "d/f0" {
		t.Errorf("%d, %q", removed, example)
	}
}

func TestARemovalInManySmallStepsIsOneRemoval(t *testing.T) {
	t.Setenv("MUTAGEN_DATA_DIRECTORY", t.TempDir())
	e := end(40, 1000)
	step := func(count int) bool {
		stopped := e.brake([]*core.Change{{Path: "d", Old: folder(files("f", count))}}) != nil
		if !stopped {
			e.last.Files -= uint64(count)
		}
		return stopped
	}
	if step(10) || step(10) {
		t.Error("a few are stopped")
	}
	if !step(10) {
		t.Error("most are not")
	}
	e.removing.since = time.Now().Add(-2 * window)
	if step(10) {
		t.Error("what was long ago counts")
	}
}
