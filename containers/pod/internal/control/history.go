package control

import (
	"bufio"
	"bytes"
	"io"
	"os"

	"paude/pod/internal/paths"
	"paude/pod/internal/say"
)

// The first bytes of every git bundle, of version 2 and 3.
var bundleMarks = [][]byte{[]byte("# v2 git bundle\n"), []byte("# v3 git bundle\n")}

// takeHistory keeps the bundle on stdin for the agent to unpack. The gate never runs git: a repository can tell git
// to run anything.
func takeHistory() int {
	if err := keepBundle(os.Stdin); err != nil {
		say.Line("history: %v", err)
		return exitFailed
	}
	return 0
}

func keepBundle(stream io.Reader) error {
	reader := bufio.NewReaderSize(stream, 1<<20)
	head, err := reader.Peek(len(bundleMarks[0]))
	if err != nil || !isBundle(head) {
		return os.ErrInvalid
	}
	file, err := os.CreateTemp(paths.Inbox, ".history.")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	if _, err = io.Copy(file, reader); err != nil {
		return err
	}
	if err = file.Chmod(0o664); err != nil {
		return err
	}
	return os.Rename(file.Name(), paths.Bundle)
}

func isBundle(head []byte) bool {
	for _, mark := range bundleMarks {
		if bytes.Equal(head, mark) {
			return true
		}
	}
	return false
}
