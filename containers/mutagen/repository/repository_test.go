package repository

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mutagen-io/mutagen/pkg/synchronization/core"
)

func git(t *testing.T, root string, words ...string) string {
	t.Helper()
	fixed := []string{"-C", root, "-c", "user.name=t", "-c", "user.email=t@example.test", "-c", "init.defaultBranch=main"}
	out, err := exec.Command("git", append(fixed, words...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %s", words, out)
	}
	return strings.TrimSpace(string(out))
}

func made(t *testing.T) string {
	root := t.TempDir()
	git(t, root, "init", "-q")
	git(t, root, "commit", "-q", "--allow-empty", "-m", "one")
	return root
}

func TestTheHeadIsWhatGitSays(t *testing.T) {
	root := made(t)
	at := git(t, root, "rev-parse", "HEAD")
	repository := Repository{Root: root}
	if got := repository.Head(); got != (Head{Ref: "refs/heads/main", Commit: at}) {
		t.Errorf("%+v", got)
	}
	git(t, root, "pack-refs", "--all")
	if got := repository.Head(); got.Commit != at {
		t.Errorf("packed: %+v", got)
	}
	git(t, root, "checkout", "-q", "--detach")
	if got := repository.Head(); got != (Head{Ref: "", Commit: at}) {
		t.Errorf("detached: %+v", got)
	}
	other := filepath.Join(t.TempDir(), "other")
	git(t, root, "worktree", "add", "-q", "-b", "side/way", other)
	if got := (Repository{Root: other}).Head(); got != (Head{Ref: "refs/heads/side/way", Commit: at}) {
		t.Errorf("worktree: %+v", got)
	}
	if got := (Repository{Root: other, Far: true}).Head(); got.Known() {
		t.Errorf("a far .git file was followed: %+v", got)
	}
	if got := (Repository{Root: t.TempDir()}).Head(); got.Known() {
		t.Errorf("no repository: %+v", got)
	}
}

func TestAFarRepositoryLeadsNowhere(t *testing.T) {
	root, secret := t.TempDir(), t.TempDir()
	at := strings.Repeat("a", 40)
	write := func(path, text string) {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(secret, "x"), at)
	write(filepath.Join(root, ".git", "HEAD"), "ref: refs/heads/x\n")
	if err := os.MkdirAll(filepath.Join(root, ".git", "refs"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, filepath.Join(root, ".git", "refs", "heads")); err != nil {
		t.Fatal(err)
	}
	far := Repository{Root: root, Far: true}
	if got := far.Head(); got.Known() {
		t.Errorf("a link out was followed: %+v", got)
	}
	for _, text := range []string{"ref: refs/heads/../../x", "ref: /etc/passwd", "ref: refs/heads/a b", "\x1b[2J", strings.Repeat("b", 41)} {
		write(filepath.Join(root, ".git", "HEAD"), text)
		if got := far.Head(); got != (Head{}) {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

func TestFilesAreNotLookedAtWhileGitIsAtWork(t *testing.T) {
	root := made(t)
	lock := filepath.Join(root, ".git", "index.lock")
	repository := Repository{Root: root}
	looks := 0
	repository.Between(context.Background(), func() {
		if looks++; looks == 1 { // git begins in the middle of the first look, and ends before the next
			if err := os.WriteFile(lock, nil, 0o644); err != nil {
				t.Fatal(err)
			}
			go os.Remove(lock)
			git(t, root, "symbolic-ref", "HEAD", "refs/heads/other")
		}
	})
	if looks != 2 {
		t.Errorf("%d looks", looks)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := os.WriteFile(lock, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	repository.Between(ctx, func() {}) // and a scan that is given up does not wait
}

func TestASwitchWhoseHeadIsStillToComeIsNotOver(t *testing.T) {
	root := made(t)
	repository := Repository{Root: root}
	index := filepath.Join(root, ".git", "index")
	var put time.Time
	looks, age := 0, time.Duration(0)
	repository.Between(context.Background(), func() {
		if looks++; looks == 1 { // git puts the index in its place in the middle of the first look
			put = time.Now().Round(0) // by the clock that files have
			if err := os.Chtimes(index, put, put); err != nil {
				t.Fatal(err)
			}
		}
		age = time.Since(put)
	})
	// By the clock and not by a HEAD that comes in time: nobody can promise to write one within the moment.
	if looks != 2 || age < moment {
		t.Errorf("%d looks, the last when the index had been there for %v", looks, age)
	}
}

func TestALockThatStaysIsWaitedForOnceAndTold(t *testing.T) {
	root := made(t)
	lock := filepath.Join(root, ".git", "index.lock")
	if err := os.WriteFile(lock, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	repository := Repository{Root: root}
	looks := 0
	look := func() time.Duration {
		began := time.Now()
		if head := repository.Between(context.Background(), func() { looks++ }); !head.Locked || !head.Known() {
			t.Errorf("%+v", head)
		}
		return time.Since(began)
	}
	first := look()
	again := look()
	if looks != 2 {
		t.Errorf("%d looks of two", looks)
	}
	if again >= patience || first < patience {
		t.Errorf("waited %v, and then %v", first, again)
	}
	if err := os.Remove(lock); err != nil {
		t.Fatal(err)
	}
	if head := repository.Between(context.Background(), func() {}); head.Locked {
		t.Errorf("%+v", head)
	}
}

func TestATreeCarriesTheHeadAndLosesItAgain(t *testing.T) {
	tree := &core.Entry{Kind: core.EntryKind_Directory, Contents: map[string]*core.Entry{"f": {Kind: core.EntryKind_File, Digest: []byte{1}}}}
	var sent *core.Entry
	for _, head := range []Head{
		{Ref: "refs/heads/ü", Commit: strings.Repeat("c", 40)},
		{Ref: "refs/heads/x", Commit: strings.Repeat("c", 40), Locked: true},
		{Commit: strings.Repeat("c", 40), Locked: true},
	} {
		sent = Put(tree, head)
		if err := sent.EnsureValid(false); err != nil {
			t.Fatal(err)
		}
		got, told := Take(sent)
		if told != head || !got.Equal(tree, true) || len(tree.Contents) != 1 {
			t.Errorf("%+v, %v", told, got)
		}
	}
	if _, told := Take(tree); told.Known() {
		t.Error("a tree without one says something")
	}
	sent.Contents[carrier].Target = "nonsense \x1b[2J"
	if got, told := Take(sent); told.Known() || len(got.Contents) != 1 {
		t.Errorf("%+v", told)
	}
}

func TestAPipeInPlaceOfHeadIsNotWaitedFor(t *testing.T) {
	root := t.TempDir()
	if err := errors.Join(os.Mkdir(filepath.Join(root, ".git"), 0o755), syscall.Mkfifo(filepath.Join(root, ".git", "HEAD"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if head := (Repository{Root: root, Far: true}).Head(); head.Known() {
		t.Fatalf("%+v", head)
	}
}
