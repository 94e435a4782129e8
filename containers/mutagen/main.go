// Program paude-sync is mutagen's sync daemon and its sync commands, with endpoints of paude's own around mutagen's:
// changes are noticed at once, and what the guard holds never reaches the laptop. Nothing of mutagen is changed.
package main

import (
	"fmt"
	"os"

	"github.com/mutagen-io/mutagen/cmd/mutagen/daemon"
	"github.com/mutagen-io/mutagen/cmd/mutagen/sync"
	"github.com/mutagen-io/mutagen/pkg/mutagen"
	"github.com/spf13/cobra"

	"paude/sync/endpoint"
)

func main() {
	endpoint.Register()
	root := &cobra.Command{Use: "paude-sync", SilenceUsage: true, Version: mutagen.Version}
	root.AddCommand(withReadiness(daemon.DaemonCommand), sync.SyncCommand, watchCommand, packCommand)
	if err := root.Execute(); err != nil {
		os.Exit(1)
	}
}

// withReadiness lets `daemon run` print one line, `ready`, once its socket answers.
func withReadiness(command *cobra.Command) *cobra.Command {
	for _, child := range command.Commands() {
		if child.Name() != "run" {
			continue
		}
		run := child.RunE
		child.RunE = func(c *cobra.Command, arguments []string) error {
			go func() {
				if awaitSocket() == nil {
					fmt.Println("ready")
				}
			}()
			return run(c, arguments)
		}
	}
	return command
}
