package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"paude/sync/watch"
)

// watchCommand prints what the gate's watcher prints, for a directory on this machine: `watching` once every directory
// is watched, `changed` after each burst of changes, `polling` when the system allows no more watches.
var watchCommand = &cobra.Command{
	Use:          "watch DIRECTORY",
	Short:        "Print a line whenever something below a directory changes",
	Args:         cobra.ExactArgs(1),
	SilenceUsage: true,
	RunE:         func(_ *cobra.Command, arguments []string) error { return printChanges(arguments[0]) },
}

func printChanges(root string) error {
	endWithParent()
	say := func(word string) {
		if _, err := fmt.Println(word); err != nil {
			os.Exit(1)
		}
	}
	all := func(string, bool) bool { return false }
	changed, armed := func() { say("changed") }, func() { say("watching") }
	err := watch.Local(context.Background(), root, all, changed, armed)
	if errors.Is(err, watch.ErrLimit) {
		say("polling")
		for { // its end would be taken for a broken connection, and with nothing to wait for Go ends it as deadlocked
			time.Sleep(time.Hour)
		}
	}
	return err
}
