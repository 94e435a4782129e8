package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"paude/sync/watch"
)

// gathered is how long further changes are gathered before a line is printed.
const gathered = 20 * time.Millisecond

// watchCommand prints a line for what happens below a directory of this machine: `watching` once every directory is
// watched, `changed` after each burst of changes, `polling` when the system allows no more watches.
var watchCommand = &cobra.Command{
	Use:          "watch DIRECTORY",
	Short:        "Print a line whenever something below a directory changes",
	Args:         cobra.ExactArgs(1),
	SilenceUsage: true,
	RunE:         func(_ *cobra.Command, arguments []string) error { return printChanges(arguments[0]) },
}

func printChanges(root string) error {
	endWithParent()
	all := func(string, bool) bool { return false }
	states := make(chan watch.State, 1)
	watcher, err := watch.Local(root, all, func(state watch.State) { states <- state })
	if err != nil {
		return err
	}
	watcher.Take() // all that was before the first line
	for {
		select {
		case state := <-states:
			say(state)
		case <-watcher.Changed():
			time.Sleep(gathered)
			if paths, any := watcher.Take(); any || len(paths) > 0 {
				say("changed")
			}
		}
	}
}

func say(word string) {
	if _, err := fmt.Println(word); err != nil {
		os.Exit(1)
	}
}
