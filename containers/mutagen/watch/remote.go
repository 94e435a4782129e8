package watch

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"paude/sync/wake"
)

// healthy is how long a watcher lives that needs no pause before the next one.
const healthy = 10 * time.Second

// State is what another program's watcher says of itself: `watching`, `polling` or `down`.
type State = string

// Remote follows the watcher of the gate on host: each of its lines `changed` calls changed. When its connection ends it
// is started again, after a growing pause. It returns when the context ends.
func Remote(ctx context.Context, host string, changed func(), tell func(State)) {
	followed{host, []string{ssh(), host, "watch"}, all}.run(ctx, changed, tell)
}

// Fed follows a program that watches a directory of this machine, in the same way. It may say what changed: a path
// behind `changed`, and paths that are skipped do not count.
func Fed(ctx context.Context, program, directory string, skip Skip, changed func(), tell func(State)) {
	followed{directory, []string{program, directory}, skip}.run(ctx, changed, tell)
}

func all(string, bool) bool { return false }

// followed is a program that prints a line whenever something changes.
type followed struct {
	name    string
	command []string
	skip    Skip
}

func (f followed) run(ctx context.Context, changed func(), tell func(State)) {
	pause := wake.Growing{First: 200 * time.Millisecond, Last: 5 * time.Second}
	for ctx.Err() == nil {
		woken := wake.Next()
		began := time.Now()
		err := f.follow(ctx, changed, tell)
		if ctx.Err() != nil {
			return
		}
		tell("down")
		fmt.Fprintf(os.Stderr, "paude: the watcher of %s ended: %v\n", f.name, err)
		if time.Since(began) > healthy {
			pause.Reset()
		}
		pause.Wait(ctx, woken)
	}
}

func (f followed) follow(ctx context.Context, changed func(), tell func(State)) error {
	child := exec.CommandContext(ctx, f.command[0], f.command[1:]...)
	child.Stderr = os.Stderr
	child.WaitDelay = time.Second
	if _, err := child.StdinPipe(); err != nil { // open as long as this process lives: its end is the far end's notice
		return err
	}
	out, err := child.StdoutPipe()
	if err != nil {
		return err
	}
	if err := child.Start(); err != nil {
		return err
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		f.take(lines.Text(), changed, tell)
	}
	if err := child.Wait(); err != nil {
		return err
	}
	return errors.New("it stopped by itself")
}

// take obeys one line; at `watching` a change may have been missed since the last watcher.
func (f followed) take(line string, changed func(), tell func(State)) {
	word, path, _ := strings.Cut(line, " ")
	switch word {
	case "watching":
		changed()
		tell(word)
	case "polling":
		tell(word)
		fmt.Fprintf(os.Stderr, "paude: %s has more directories than file watches: it is polled each 10 s\n", f.name)
	case "changed":
		if path == "" || !f.skipped(path) {
			changed()
		}
	}
}

// skipped says that the path, or a directory above it, does not matter. What it was, if it is gone, is not known.
func (f followed) skipped(path string) bool {
	for i, r := range path {
		if r == '/' && f.skip(path[:i], true) {
			return true
		}
	}
	return f.skip(path, true) && f.skip(path, false)
}

// ssh is the program that mutagen uses too.
func ssh() string {
	if directory := os.Getenv("MUTAGEN_SSH_PATH"); directory != "" {
		return filepath.Join(directory, "ssh")
	}
	return "ssh"
}
