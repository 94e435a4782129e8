package endpoint

import (
	"slices"
	"testing"

	"github.com/mutagen-io/mutagen/pkg/synchronization/core"
)

type tree map[string]any

func file(content string) *core.Entry {
	return &core.Entry{Kind: core.EntryKind_File, Digest: []byte(content)}
}

func build(t tree) *core.Entry {
	e := &core.Entry{Kind: core.EntryKind_Directory, Contents: map[string]*core.Entry{}}
	for name, value := range t {
		if below, ok := value.(tree); ok {
			e.Contents[name] = build(below)
		} else {
			e.Contents[name] = file(value.(string))
		}
	}
	return e
}

func see(ancestor, laptop, pod *core.Entry) (*core.Entry, []string) {
	v := &veil{ignored: func(path string, _ bool) bool { return path == "kept-back" }}
	shown := v.directory("", ancestor, laptop, pod)
	var held []string
	for _, h := range v.held {
		held = append(held, h.Change+" "+h.Path)
	}
	slices.Sort(held)
	return shown, held
}

func expect(t *testing.T, ancestor, laptop, pod, shown tree, held ...string) {
	t.Helper()
	var before *core.Entry
	if ancestor != nil {
		before = build(ancestor)
	}
	got, list := see(before, build(laptop), build(pod))
	if !got.Equal(build(shown), true) {
		t.Errorf("shown: %v", got)
	}
	if !slices.Equal(list, held) {
		t.Errorf("held: %v, not %v", list, held)
	}
}

func TestWhatThePodMakesOfTierOneIsNotSeen(t *testing.T) {
	expect(t, tree{}, tree{}, tree{".envrc": "evil", "a": tree{".GIT": tree{"config": "evil"}, "b": "fine"}},
		tree{"a": tree{"b": "fine"}}, "new .envrc", "new a/.GIT")
}

func TestAHeldFileLooksAsItLastWas(t *testing.T) {
	old := tree{".vscode": tree{"tasks.json": "old", "launch.json": "old"}}
	expect(t, old, old, tree{".vscode": tree{"tasks.json": "evil", "launch.json": "old", "new.json": "evil"}}, old,
		"changed .vscode/tasks.json", "new .vscode/new.json")
}

func TestADeletionOfTierOneIsHeld(t *testing.T) {
	old := tree{"d": tree{".claude": tree{"settings.json": "deny"}, "x": "x"}}
	expect(t, old, old, tree{}, tree{"d": tree{".claude": tree{"settings.json": "deny"}}}, "deleted d/.claude")
	expect(t, old, old, tree{"d": "now a file"}, old, "changed d", "deleted d/.claude")
}

func TestWhatTheLaptopHasTooMayBeSeen(t *testing.T) {
	expect(t, nil, tree{".idea": tree{"w": "same"}}, tree{".idea": tree{"w": "same"}}, tree{".idea": tree{"w": "same"}})
	expect(t, tree{".idea": tree{"w": "old"}}, tree{".idea": tree{"w": "accepted"}}, tree{".idea": tree{"w": "accepted"}},
		tree{".idea": tree{"w": "accepted"}})
}

func TestWhatTheLaptopKeepsBackIsNotTaken(t *testing.T) {
	expect(t, tree{}, tree{}, tree{"kept-back": "forged", "x": "x"}, tree{"x": "x"}, "new kept-back")
}

func TestThePodsOwnTreeIsNotChanged(t *testing.T) {
	pod := build(tree{".git": "x", "d": tree{".git": "x"}})
	see(nil, nil, pod)
	if !pod.Equal(build(tree{".git": "x", "d": tree{".git": "x"}}), true) {
		t.Error("the given tree was changed")
	}
}

func TestTheJudgeRefusesWhateverWasPlanned(t *testing.T) {
	j := &judge{ignored: func(path string, _ bool) bool { return path == "kept-back" }}
	settled := build(tree{".claude": tree{"settings.json": "deny"}})
	allowed, places := j.allowed([]*core.Change{
		{Path: ".envrc", New: file("evil")},
		{Path: "x", New: file("fine")},
		{Path: "d/.Git/hooks/pre-commit", New: file("evil")},
		{Path: "kept-back/x", New: file("forged")},
		{Path: "e", New: build(tree{".git": "evil", "y": "fine"})},
		{Path: "f", Old: settled},
		{Path: "link", New: &core.Entry{Kind: core.EntryKind_SymbolicLink, Target: ".git/hooks"}},
	})
	if !slices.Equal(places, []int{1, 4}) {
		t.Errorf("allowed: %v", places)
	}
	if !allowed[1].New.Equal(build(tree{"y": "fine"}), true) {
		t.Errorf("not pruned: %v", allowed[1].New)
	}
}

func TestWhatLiesTooDeepIsHeld(t *testing.T) {
	v := &veil{ignored: func(string, bool) bool { return false }, depth: 2}
	shown := v.directory("", nil, build(tree{}), build(tree{"a": tree{"b": tree{"c": tree{"d": "x"}}, "f": "x"}}))
	if !shown.Equal(build(tree{"a": tree{"b": tree{}, "f": "x"}}), true) {
		t.Errorf("shown: %v", shown)
	}
	if len(v.held) == 0 || v.held[0].Path != "a/b/c" || v.held[0].Why != "depth" {
		t.Errorf("held: %+v", v.held)
	}
}
