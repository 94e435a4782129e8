// Program paude-sync is mutagen's sync daemon and its sync commands, with endpoints of paude's own around mutagen's:
// changes are noticed at once, and what the guard holds never reaches the laptop. Nothing of mutagen is changed.
package main

import (
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/mutagen-io/mutagen/cmd/mutagen/daemon"
	"github.com/mutagen-io/mutagen/cmd/mutagen/sync"
	"github.com/mutagen-io/mutagen/pkg/mutagen"
	"github.com/spf13/cobra"

	"paude/sync/endpoint"
	"paude/sync/wake"
)

func main() {
	endpoint.Register()
	wake.OnSignal()
	root := &cobra.Command{Use: "paude-sync", SilenceUsage: true, Version: mutagen.Version}
	root.AddCommand(asChild(daemon.DaemonCommand), sync.SyncCommand, watchCommand, packCommand)
	if err := root.Execute(); err != nil {
		os.Exit(1)
	}
}

// asChild lets `daemon run` print one line, `ready`, once its socket answers, and end with its standard input: whoever
// started it holds the other end, and when that one was killed its tunnels are gone, and nobody would make others.
func asChild(command *cobra.Command) *cobra.Command {
	for _, child := range command.Commands() {
		if child.Name() != "run" {
			continue
		}
		run := child.RunE
		child.RunE = func(c *cobra.Command, arguments []string) error {
			go endWithInput()
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

// endWithInput ends this process as a signal would: what is under way is finished, the lock is given back.
func endWithInput() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
}
