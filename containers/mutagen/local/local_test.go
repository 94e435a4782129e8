package local

import (
	"bytes"
	"context"
	"crypto/sha1"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mutagen-io/mutagen/pkg/synchronization"
	"github.com/mutagen-io/mutagen/pkg/synchronization/core"
	"github.com/mutagen-io/mutagen/pkg/synchronization/hashing"
	"golang.org/x/sys/unix"

	"paude/sync/known"
	"paude/sync/watch"
)

// end is an endpoint of a directory, with its first scan behind it.
type end struct {
	*Endpoint
	t    *testing.T
	root string
}

func open(t *testing.T, c *synchronization.Configuration, watcher func(string) watch.Watcher, files ...string) *end {
	t.Helper()
	t.Setenv("MUTAGEN_DATA_DIRECTORY", t.TempDir())
	e := &end{t: t, root: t.TempDir()}
	for _, name := range files {
		e.write(name, "content of "+name)
	}
	opened, err := New(t.Context(), e.root, "sync_x", synchronization.DefaultVersion, c, true, watcher(e.root), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = opened.Shutdown() })
	e.Endpoint = opened
	e.scan(false)
	return e
}

func watching(t *testing.T) func(string) watch.Watcher {
	return func(root string) watch.Watcher {
		found, err := watch.Local(root, func(string, bool) bool { return false }, func(watch.State) {})
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
}

func (e *end) write(name, text string) {
	e.t.Helper()
	path := filepath.Join(e.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		e.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		e.t.Fatal(err)
	}
}

func (e *end) scan(full bool) *core.Snapshot {
	e.t.Helper()
	found, err, _ := e.Scan(e.t.Context(), nil, full)
	if err != nil {
		e.t.Fatal(err)
	}
	return found
}

// polled says whether a poll ends by itself.
func (e *end) polled(within time.Duration) bool {
	ctx, cancel := context.WithTimeout(e.t.Context(), within)
	defer cancel()
	_ = e.Poll(ctx)
	return ctx.Err() == nil
}

// whole is the tree as a scan by somebody who knows nothing gives it.
func (e *end) whole() *core.Entry {
	e.t.Helper()
	r := e.rules
	found, _, _, err := core.Scan(e.t.Context(), e.root, nil, nil, r.hasher(), nil, r.ignorer, nil, r.probe, r.links, r.permissions)
	if err != nil {
		e.t.Fatal(err)
	}
	return found.Content
}

func TestAChangeEndsThePollAndAScanHasJustIt(t *testing.T) {
	for name, change := range map[string]func(e *end){
		"written":     func(e *end) { e.write("d/f", "other") },
		"new":         func(e *end) { e.write("d/g", "new") },
		"new below":   func(e *end) { e.write("x/y/z", "new") },
		"removed":     func(e *end) { os.Remove(filepath.Join(e.root, "d/f")) },
		"executable":  func(e *end) { os.Chmod(filepath.Join(e.root, "d/f"), 0o755) },
		"link":        func(e *end) { os.Symlink("f", filepath.Join(e.root, "d/l")) },
		"renamed":     func(e *end) { os.Rename(filepath.Join(e.root, "d"), filepath.Join(e.root, "n")) },
		"all removed": func(e *end) { os.RemoveAll(filepath.Join(e.root, "d")) },
	} {
		t.Run(name, func(t *testing.T) {
			e := open(t, &synchronization.Configuration{}, watching(t), "d/f", "d/e/f", "other/f")
			change(e)
			if !e.polled(10 * time.Second) {
				t.Fatal("it was not noticed")
			}
			if found := e.scan(false).Content; !found.Equal(e.whole(), true) {
				t.Errorf("%v", found)
			}
		})
	}
}

// A directory that takes another's place is another one, whatever lay in the first.
func TestADirectoryInTheSamePlaceIsLookedAtAnew(t *testing.T) {
	e := open(t, &synchronization.Configuration{}, watching(t), "d/e/f", "d/e/g")
	beside := filepath.Join(t.TempDir(), "d")
	if err := os.MkdirAll(filepath.Join(beside, "e"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(beside, "e", "f"), []byte("another"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(e.root, "d")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(beside, filepath.Join(e.root, "d")); err != nil {
		t.Fatal(err)
	}
	if found := e.scan(false).Content; !found.Equal(e.whole(), true) {
		t.Errorf("%v", found)
	}
	e.write("d/e/late", "in it")
	if found := e.scan(false).Content; !found.Equal(e.whole(), true) {
		t.Errorf("%v", found)
	}
}

func TestADirectoryThatMovedIsFollowedByItsNewName(t *testing.T) {
	e := open(t, &synchronization.Configuration{}, watching(t), "a/sub/f")
	for _, step := range []func(){
		func() { os.Rename(filepath.Join(e.root, "a"), filepath.Join(e.root, "b")) },
		func() { e.write("a/sub/f", "another a") },
		func() { e.write("b/sub/f", "changed below its new name") },
		func() { e.write("a/sub/f", "changed again") },
	} {
		step()
		if found := e.scan(false).Content; !found.Equal(e.whole(), true) {
			t.Fatalf("%v", found)
		}
	}
}

func TestOnlyWhatChangedIsReadAgain(t *testing.T) {
	e := open(t, &synchronization.Configuration{}, watching(t), "d/f", "other/f")
	before := e.scan(false).Content
	e.write("d/f", "another")
	after := e.scan(false).Content
	if after.Contents["other"] != before.Contents["other"] || after.Contents["d"] == before.Contents["d"] {
		t.Error("the directory where nothing happened was looked at, or the other one was not")
	}
	if e.scan(false).Content != after {
		t.Error("it was looked at without a change")
	}
	if e.scan(true).Content == after {
		t.Error("it was not looked at when everything was asked for")
	}
}

func TestWhatTheControllerHadMadeDoesNotEndThePoll(t *testing.T) {
	e := open(t, &synchronization.Configuration{}, watching(t), "d/f")
	changes := []*core.Change{{Path: "made", New: &core.Entry{Kind: core.EntryKind_Directory, Contents: map[string]*core.Entry{
		"link": {Kind: core.EntryKind_SymbolicLink, Target: "f"},
	}}}}
	results, problems, _, err := e.Transition(t.Context(), changes)
	if err != nil || len(problems) > 0 || !results[0].Equal(changes[0].New, true) {
		t.Fatal(results, problems, err)
	}
	for e.snapshot.Content.Contents["made"] == nil { // until a poll has looked
		if e.polled(50 * time.Millisecond) {
			t.Fatal("it ended")
		}
	}
	if e.polled(50 * time.Millisecond) {
		t.Error("it ended after the look")
	}
}

func TestWhatWasTurnedBackAfterATransitionEndsThePoll(t *testing.T) {
	e := open(t, &synchronization.Configuration{}, watching(t), "d/f")
	link := &core.Entry{Kind: core.EntryKind_SymbolicLink, Target: "f"}
	if _, _, _, err := e.Transition(t.Context(), []*core.Change{{Path: "l", New: link}}); err != nil {
		t.Fatal(err)
	}
	os.Remove(filepath.Join(e.root, "l")) // the files are as they were at the last scan
	if !e.polled(10 * time.Second) {
		t.Error("the other end would keep what is gone here")
	}
}

func TestAChangeThatAPollHasSeenEndsTheNextOne(t *testing.T) {
	e := open(t, &synchronization.Configuration{}, watching(t), "d/f")
	e.write("d/f", "another")
	if err := e.look(t.Context(), false); err != nil { // as in a poll that is given up at that moment
		t.Fatal(err)
	}
	if !e.polled(10 * time.Second) {
		t.Error("it is forgotten")
	}
}

// unread opens an end before its first scan, with a digest that the content of its files does not have.
func unread(t *testing.T, c *synchronization.Configuration, change func(e *end)) map[string]*core.Entry {
	t.Helper()
	t.Setenv("MUTAGEN_DATA_DIRECTORY", t.TempDir())
	e := &end{t: t, root: t.TempDir()}
	var records []byte
	for _, name := range []string{"kept", "changed"} {
		e.write(name, "content")
		var facts unix.Stat_t
		if err := unix.Stat(filepath.Join(e.root, name), &facts); err != nil {
			t.Fatal(err)
		}
		records = known.Append(records, &facts, wrong, name)
	}
	list := filepath.Join(t.TempDir(), "list")
	if err := os.WriteFile(list, records, 0o600); err != nil {
		t.Fatal(err)
	}
	change(e)
	opened, err := New(t.Context(), e.root, "sync_x", synchronization.DefaultVersion, c, true, watching(t)(e.root), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Shutdown()
	opened.Knows(func(context.Context) (*core.Cache, error) { return known.Read(list) })
	e.Endpoint = opened
	return e.scan(false).Content.Contents
}

var wrong = make([]byte, sha1.Size)

func TestWhatIsKnownIsNotReadAndWhatHasChangedIs(t *testing.T) {
	found := unread(t, &synchronization.Configuration{}, func(e *end) { e.write("changed", "longer content") })
	for name, expected := range map[string]bool{"kept": true, "changed": false} {
		if bytes.Equal(found[name].Digest, wrong) != expected {
			t.Errorf("%q: %x", name, found[name].Digest)
		}
	}
}

func TestDigestsOfAnotherKindAreOfNoUse(t *testing.T) {
	c := &synchronization.Configuration{HashingAlgorithm: hashing.Algorithm_AlgorithmSHA256}
	if found := unread(t, c, func(*end) {}); len(found["kept"].Digest) != 32 {
		t.Errorf("%x", found["kept"].Digest)
	}
}

func TestALookThatWasGivenUpIsMadeAgain(t *testing.T) {
	e := open(t, &synchronization.Configuration{}, watching(t), "d/f", "other/f")
	before := e.snapshot.Content.Contents["other"]
	e.write("d/f", "another")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.look(ctx, false); err == nil {
		t.Fatal("it was not given up")
	}
	found := e.scan(false).Content
	if !found.Equal(e.whole(), true) || found.Contents["other"] != before {
		t.Error("what was noticed is forgotten, or everything was looked at for it")
	}
}

func TestAChangeThatNobodyNoticedIsFoundByALookAtEverything(t *testing.T) {
	c := &synchronization.Configuration{WatchPollingInterval: 1}
	deaf := func(root string) watch.Watcher {
		found, err := watch.Local(root, func(string, bool) bool { return true }, func(watch.State) {})
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	e := open(t, c, deaf, "d/f")
	e.write("d/f", "another")
	if !e.polled(10 * time.Second) {
		t.Error("it is not found")
	}
}

func TestWhereChangesAreNotNoticedEachScanLooks(t *testing.T) {
	e := open(t, &synchronization.Configuration{}, func(string) watch.Watcher { return watch.None() }, "d/f")
	e.write("d/f", "another")
	if found := e.scan(false).Content; !found.Equal(e.whole(), true) {
		t.Errorf("%v", found)
	}
	if _, state := TakeState(e.PutState(e.scan(false).Content)); state != watch.Polling {
		t.Error(state)
	}
}

func TestARootThatWasTakenAwayIsFoundWhenItIsBack(t *testing.T) {
	e := open(t, &synchronization.Configuration{}, watching(t), "d/f")
	away := filepath.Join(filepath.Dir(e.root), "away")
	if err := os.Rename(e.root, away); err != nil {
		t.Fatal(err)
	}
	if found := e.scan(false); found.Content != nil || e.watcher.Live() {
		t.Errorf("%v", found)
	}
	if err := os.Rename(away, e.root); err != nil {
		t.Fatal(err)
	}
	e.scan(false)
	if !e.watcher.Live() {
		t.Error("it is not watched")
	}
	e.write("d/f", "another")
	if found := e.scan(false).Content; !found.Equal(e.whole(), true) {
		t.Errorf("%v", found)
	}
}

func TestMoreEntriesThanAllowedAreAnErrorAndAreNotAdded(t *testing.T) {
	e := open(t, &synchronization.Configuration{MaximumEntryCount: 3}, watching(t), "d/f")
	link := &core.Entry{Kind: core.EntryKind_SymbolicLink, Target: "f"}
	results, problems, _, err := e.Transition(t.Context(), []*core.Change{{Path: "l", New: link}})
	if err != nil || results[0] != nil || len(problems) != 1 {
		t.Error(results, problems, err)
	}
	e.write("d/g", "one more")
	if _, err, again := e.Scan(t.Context(), nil, false); err == nil || !again {
		t.Error(err)
	}
}

func TestWhatIsHereByAnotherNameIsNotAskedFor(t *testing.T) {
	e := open(t, &synchronization.Configuration{}, watching(t), "d/f")
	digest := e.snapshot.Content.Contents["d"].Contents["f"].Digest
	other := bytes.Clone(digest)
	other[0]++
	missing, signatures, _, err := e.Stage([]string{"moved", "new"}, [][]byte{digest, other})
	if err != nil || len(missing) != 1 || missing[0] != "new" || len(signatures) != 1 {
		t.Fatal(missing, signatures, err)
	}
	moved := &core.Entry{Kind: core.EntryKind_File, Digest: digest}
	results, problems, _, err := e.Transition(t.Context(), []*core.Change{{Path: "moved", New: moved}})
	if err != nil || len(problems) > 0 || !results[0].Equal(moved, true) {
		t.Error(results, problems, err)
	}
}

func TestWhatIsKnownOfTheFilesOutlivesTheProcess(t *testing.T) {
	e := open(t, &synchronization.Configuration{}, watching(t), "d/f", "g")
	e.saver.close()
	saver, cache, err := openCache("sync_x", true)
	if err != nil {
		t.Fatal(err)
	}
	if !cache.Equal(e.cache) {
		t.Error(cache)
	}
	e.saver = saver // for the end of the test
}
