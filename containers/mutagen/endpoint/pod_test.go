package endpoint

import (
	"testing"

	"github.com/mutagen-io/mutagen/pkg/synchronization"
	"github.com/mutagen-io/mutagen/pkg/synchronization/core"

	"paude/sync/local"
	"paude/sync/report"
	"paude/sync/watch"
)

func TestThePodIsAsItsTransitionLeftItWithoutBeingAsked(t *testing.T) {
	t.Setenv("MUTAGEN_DATA_DIRECTORY", t.TempDir())
	inner, err := local.New(t.Context(), t.TempDir(), "sync_x", synchronization.DefaultVersion, &synchronization.Configuration{}, false, watch.None(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Shutdown()
	file, err := report.Open("sync_x")
	if err != nil {
		t.Fatal(err)
	}
	p := &pod{watched: &watched{Endpoint: inner, pair: &pair{}, report: file, name: "x", side: "pod"}}
	if _, err, _ := p.scan(t.Context(), nil, false); err != nil {
		t.Fatal(err)
	}
	made := &core.Entry{Kind: core.EntryKind_Directory, Contents: map[string]*core.Entry{"l": {Kind: core.EntryKind_SymbolicLink, Target: "f"}}}
	if _, _, _, err := p.Transition(t.Context(), []*core.Change{{Path: "d", New: made}}); err != nil {
		t.Fatal(err)
	}
	known := p.last
	found, err, _ := p.scan(t.Context(), nil, false)
	if err != nil || found != known || !found.Content.Contents["d"].Equal(made, true) {
		t.Error(found, err)
	}
	if found.Directories != 2 || found.SymbolicLinks != 1 {
		t.Error(found.Directories, found.SymbolicLinks)
	}
}
