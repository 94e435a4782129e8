package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"paude/sync/known"
	"paude/sync/pack"
)

// toldEach is how many bytes are made between two lines of progress.
const toldEach = 1 << 20

// told is a line on standard error: one of the two.
type told struct {
	Made       int64  `json:"made,omitempty"`
	Unreadable string `json:"unreadable,omitempty"`
}

// packCommand writes the stream of the first content: the entries whose paths, each ended by a zero byte, come by
// standard input. The last one is empty: a list that breaks off makes no whole stream.
var packCommand = &cobra.Command{
	Use:          "pack DIRECTORY",
	Short:        "Pack the entries of a directory that are named on standard input",
	Args:         cobra.ExactArgs(1),
	SilenceUsage: true,
	RunE:         func(_ *cobra.Command, arguments []string) error { return packInto(os.Stdout, arguments[0]) },
}

func packInto(out *os.File, root string) error {
	endWithParent()
	paths := make(chan string, 1024)
	go func() {
		if err := split(paths); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1) // before the stream is whole
		}
		close(paths)
	}()
	add, end := knownTo(root)
	defer end()
	say := json.NewEncoder(os.Stderr)
	last := int64(0)
	return pack.Write(out, root, paths, pack.Tell{
		Known:      add,
		Unreadable: func(path string) { _ = say.Encode(told{Unreadable: path}) },
		Made: func(bytes int64) {
			if bytes-last >= toldEach {
				last = bytes
				_ = say.Encode(told{Made: bytes})
			}
		},
	})
}

// knownTo takes what is known of the files that were read, for the sync daemon whose data directory is named. What the
// daemon is not told it reads.
func knownTo(root string) (func(record []byte), func()) {
	if os.Getenv("MUTAGEN_DATA_DIRECTORY") == "" {
		return func([]byte) {}, func() {}
	}
	teller, err := known.Tell(root)
	if err != nil {
		return func([]byte) {}, func() {}
	}
	return func(record []byte) { _ = teller.Add(record) }, func() { _ = teller.End() }
}

func split(paths chan<- string) error {
	lines := bufio.NewScanner(os.Stdin)
	lines.Split(func(data []byte, atEnd bool) (int, []byte, error) {
		if end := bytes.IndexByte(data, 0); end >= 0 {
			return end + 1, data[:end], nil
		}
		return 0, nil, nil
	})
	for lines.Scan() {
		if lines.Text() == "" {
			return nil
		}
		paths <- lines.Text()
	}
	return errors.Join(errors.New("the list of paths breaks off"), lines.Err())
}
