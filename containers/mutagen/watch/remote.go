package watch

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

const (
	firstPause   = 200 * time.Millisecond
	longestPause = 5 * time.Second
	// healthy is how long a watcher lives that needs no pause before the next one.
	healthy = 10 * time.Second
)

// State is what the other end's watcher says of itself: `watching`, `polling` or `down`.
type State = string

// Remote follows the watcher of the gate on host: each of its lines `changed` calls changed. When its connection ends it
// is started again, after a growing pause. It returns when the context ends.
func Remote(ctx context.Context, host string, changed func(), tell func(State)) {
	pause := firstPause
	for ctx.Err() == nil {
		began := time.Now()
		err := follow(ctx, host, changed, tell)
		if ctx.Err() != nil {
			return
		}
		tell("down")
		fmt.Fprintf(os.Stderr, "paude: the watcher of %s ended: %v\n", host, err)
		if time.Since(began) > healthy {
			pause = firstPause
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, longestPause)
	}
}

func follow(ctx context.Context, host string, changed func(), tell func(State)) error {
	child := exec.CommandContext(ctx, ssh(), host, "watch")
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
		take(lines.Text(), changed, tell)
	}
	if err := child.Wait(); err != nil {
		return err
	}
	return errors.New("it stopped by itself")
}

// take obeys one line; at `watching` a change may have been missed since the last watcher.
func take(line string, changed func(), tell func(State)) {
	switch line {
	case "watching":
		changed()
		tell(line)
	case "polling":
		tell(line)
		fmt.Fprintln(os.Stderr, "paude: the other end has more directories than file watches: it is polled each 10 s")
	case "changed":
		changed()
	}
}

// ssh is the program that mutagen uses too.
func ssh() string {
	if directory := os.Getenv("MUTAGEN_SSH_PATH"); directory != "" {
		return filepath.Join(directory, "ssh")
	}
	return "ssh"
}
