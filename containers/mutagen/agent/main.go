// Program mutagen-agent is the pod's end of the sync: it speaks mutagen's protocol over its standard streams, for one
// connection, with the same end of a sync behind it that the laptop has.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/mutagen-io/mutagen/pkg/agent"
	"github.com/mutagen-io/mutagen/pkg/housekeeping"
	"github.com/mutagen-io/mutagen/pkg/mutagen"
)

func main() {
	if len(os.Args) < 2 || os.Args[1] != agent.CommandSynchronizer {
		fmt.Fprintf(os.Stderr, "usage: mutagen-agent %s\n", agent.CommandSynchronizer)
		os.Exit(2)
	}
	if err := run(streams{os.Stdin, os.Stdout}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(both io.ReadWriteCloser) error {
	go housekeeping.Housekeep()
	if err := agent.ServerHandshake(both); err != nil {
		return err
	}
	if err := mutagen.ServerVersionHandshake(both); err != nil {
		return err
	}
	return serve(both)
}

// streams are standard input and output; they cannot be closed while somebody reads, and end with the process.
type streams struct {
	io.Reader
	io.Writer
}

func (streams) Close() error { return nil }
