// Package repository reads what is checked out, from git's own files: no git is run, and nothing in them is obeyed.
package repository

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

const (
	longestFile = 4 << 20
	// patience is how long a git at work is waited for; who holds the lock longer has left it behind, or waits itself.
	patience = 5 * time.Second
	pause    = 20 * time.Millisecond
	rounds   = 3
	// moment is how long after its index a git that switches may take to write what is checked out (git, builtin/checkout.c:
	// files, index, HEAD, in this order); between the two no lock tells of it.
	moment = 100 * time.Millisecond
)

var (
	branch = regexp.MustCompile(`^refs/heads/[^\x00-\x20\x7f~^:?*\[\\]{1,200}$`)
	commit = regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`)
)

// Head is what is checked out. Ref is empty for a detached one; all is empty without a repository or a commit. Locked:
// the index has had a lock for so long that no git is at work.
type Head struct {
	Ref    string
	Commit string
	Locked bool
}

// Known says that there is a commit.
func (h Head) Known() bool { return h.Commit != "" }

// Same says that the same branch, or the same commit, is checked out at both ends.
func (h Head) Same(other Head) bool {
	return h.Commit == other.Commit || (h.Ref != "" && h.Ref == other.Ref)
}

// Name is the branch for people, or the commit.
func (h Head) Name() string {
	if h.Ref != "" {
		return strings.TrimPrefix(h.Ref, "refs/heads/")
	}
	return h.Commit[:min(12, len(h.Commit))]
}

// Repository is that of a working tree. Far: it is somebody else's, so only a plain `.git` directory counts.
type Repository struct {
	Root string
	Far  bool

	stale os.FileInfo // the lock that was waited for in vain
}

// Head reads what is checked out.
func (r Repository) Head() Head {
	private, shared := r.directories()
	if private == "" {
		return Head{}
	}
	text := read(private, "HEAD")
	if commit.MatchString(text) {
		return Head{Commit: text}
	}
	ref, found := strings.CutPrefix(text, "ref: ")
	if !found || !branch.MatchString(ref) || strings.Contains(ref, "..") {
		return Head{}
	}
	for _, directory := range []string{private, shared} {
		if at := read(directory, ref); commit.MatchString(at) {
			return Head{Ref: ref, Commit: at}
		}
	}
	return Head{Ref: ref, Commit: packed(shared, ref)}
}

// Between looks at the files while no git is at work, and gives what was checked out then. After a few rounds in which
// one began meanwhile it takes what it has. A lock is waited for once: one that stays is told, and not waited for again.
func (r *Repository) Between(ctx context.Context, look func()) Head {
	end := time.Now().Add(patience)
	for round := 1; ; round++ {
		r.settle(ctx, end)
		before := r.Head()
		look()
		after := r.Head()
		if round >= rounds || ctx.Err() != nil || (after == before && !r.busy()) {
			after.Locked = r.stale != nil
			return after
		}
	}
}

// settle waits until no git changes the index, and with it perhaps the files.
func (r *Repository) settle(ctx context.Context, end time.Time) {
	for r.busy() {
		if !time.Now().Before(end) {
			r.stale = r.lock()
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause): // the lock is git's, and nobody tells when it goes
		}
	}
}

// busy says that a git is at work: there is a lock, and another than the one that was waited for in vain, or the index is
// new.
func (r *Repository) busy() bool {
	found := r.lock()
	if found != nil && r.stale != nil && os.SameFile(found, r.stale) && found.ModTime().Equal(r.stale.ModTime()) {
		return r.indexIsNew()
	}
	r.stale = nil
	return found != nil || r.indexIsNew()
}

func (r *Repository) indexIsNew() bool {
	found := r.facts("index")
	if found == nil {
		return false
	}
	age := time.Since(found.ModTime())
	return age >= 0 && age < moment
}

func (r *Repository) lock() os.FileInfo { return r.facts("index.lock") }

// facts tells of a file of this tree's own git directory, nil when it is not there.
func (r *Repository) facts(name string) os.FileInfo {
	private, _ := r.directories()
	if private == "" {
		return nil
	}
	found, err := os.Lstat(filepath.Join(private, name))
	if err != nil {
		return nil
	}
	return found
}

// directories gives git's directory of this tree and the one that all its worktrees share; empty without any.
func (r Repository) directories() (string, string) {
	dot := filepath.Join(r.Root, ".git")
	facts, err := os.Lstat(dot)
	if err != nil {
		return "", ""
	}
	if facts.IsDir() {
		return dot, dot
	}
	if r.Far {
		return "", ""
	}
	private, found := strings.CutPrefix(read(r.Root, ".git"), "gitdir: ")
	if !found {
		return "", ""
	}
	private = absolute(r.Root, private)
	if shared := read(private, "commondir"); shared != "" {
		return private, absolute(private, shared)
	}
	return private, private
}

func absolute(base, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(base, path)
}

// read gives a small file below a directory, without its line end; what leads out of there is not followed.
func read(directory, name string) string {
	root, err := os.OpenRoot(directory)
	if err != nil {
		return ""
	}
	defer root.Close()
	// Looked at when it is open: the agent could put a pipe there in between, which would be waited for.
	file, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return ""
	}
	defer file.Close()
	if facts, err := file.Stat(); err != nil || !facts.Mode().IsRegular() {
		return ""
	}
	data, err := io.ReadAll(io.LimitReader(file, longestFile))
	if err != nil && !errors.Is(err, io.EOF) {
		return ""
	}
	return string(bytes.TrimRight(data, "\n"))
}

func packed(directory, ref string) string {
	for _, line := range strings.Split(read(directory, "packed-refs"), "\n") {
		if at, name, _ := strings.Cut(line, " "); name == ref && commit.MatchString(at) {
			return at
		}
	}
	return ""
}
