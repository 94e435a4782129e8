// Package watch tells that a branch of the agent's repository may have moved. It says nothing about which.
package watch

import (
	"fmt"
	"os"
	"time"

	"paude/pod/internal/say"
)

const (
	// A burst is over when nothing came for this long …
	quiet = 15 * time.Millisecond
	// … and is told of at the latest after this long.
	longest = 150 * time.Millisecond
)

// follow prints `watching` once everything is watched, or `polling` when the limits do not allow that, and then `changed`
// after each burst of changes.
func follow(root string, skip skip) int {
	tree, err := newTree(root, skip)
	if err != nil {
		say.Line("watch: %v", err)
		fmt.Println("polling")
		for { // ends with the connection; with nothing to wait for Go would take it for a deadlock
			time.Sleep(time.Hour)
		}
	}
	told := tree.complete
	fmt.Println(mood(told))
	events := make(chan struct{}, 1)
	go tree.follow(events)
	for range events {
		settle(events)
		if told && !tree.isComplete() {
			told = false
			fmt.Println(mood(told))
		}
		if _, err = fmt.Println("changed"); err != nil {
			return 1
		}
	}
	return 1
}

func mood(complete bool) string {
	if complete {
		return "watching"
	}
	return "polling"
}

func settle(events <-chan struct{}) {
	latest := time.NewTimer(longest)
	defer latest.Stop()
	for {
		select {
		case <-events:
		case <-latest.C:
			return
		case <-time.After(quiet):
			return
		}
	}
}

func note(events chan<- struct{}) {
	select {
	case events <- struct{}{}:
	default:
	}
}

func exit(err error) {
	say.Line("watch: %v", err)
	os.Exit(1)
}
