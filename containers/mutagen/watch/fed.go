package watch

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"

	"paude/sync/wake"
)

// healthy is how long a watcher lives that needs no pause before the next one.
const healthy = 10 * time.Second

// fed is a program that watches a directory, and prints `watching` once every change is noticed, `polling` when the
// system does not let it watch, and `changed` with a path or without. What it has not told yet nobody knows, so any
// path may have changed when one has.
type fed struct {
	*notes
	program, root string
	skip          Skip
	tell          func(State)
	live          atomic.Bool
	stop          context.CancelFunc
	done          chan struct{}
}

// Fed follows the program until it is closed. When it ends it is started again, after a growing pause.
func Fed(program, root string, skip Skip, tell func(State)) Watcher {
	ctx, stop := context.WithCancel(context.Background())
	f := &fed{notes: newNotes(), program: program, root: root, skip: skip, tell: tell, stop: stop, done: make(chan struct{})}
	go f.run(ctx)
	return f
}

func (f *fed) Take() (map[string]bool, bool) {
	paths, any := f.take()
	return nil, any || len(paths) > 0
}

func (f *fed) Live() bool { return f.live.Load() }

func (f *fed) Close() {
	f.stop()
	<-f.done
}

func (f *fed) run(ctx context.Context) {
	defer close(f.done)
	pause := wake.Growing{First: 200 * time.Millisecond, Last: 5 * time.Second}
	for ctx.Err() == nil {
		woken := wake.Next()
		began := time.Now()
		err := f.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		f.become(Down)
		fmt.Fprintf(os.Stderr, "paude: the watcher of %s ended: %v\n", f.root, err)
		if time.Since(began) > healthy {
			pause.Reset()
		}
		pause.Wait(ctx, woken)
	}
}

func (f *fed) follow(ctx context.Context) error {
	child := exec.CommandContext(ctx, f.program, f.root)
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
		f.obey(lines.Text())
	}
	if err := child.Wait(); err != nil {
		return err
	}
	return errors.New("it stopped by itself")
}

// obey takes one line; at `watching` a change may have been missed since the last program.
func (f *fed) obey(line string) {
	word, path, _ := strings.Cut(line, " ")
	switch {
	case word == Watching || word == Polling:
		f.anything()
		f.become(word)
	case word == "changed" && (path == "" || !f.skipped(path)):
		f.anything()
	}
}

func (f *fed) become(state State) {
	f.live.Store(state == Watching)
	f.tell(state)
}

// skipped says that the path, or a directory above it, does not matter. What it was, if it is gone, is not known.
func (f *fed) skipped(path string) bool {
	for i, r := range path {
		if r == '/' && f.skip(path[:i], true) {
			return true
		}
	}
	return f.skip(path, true) && f.skip(path, false)
}
