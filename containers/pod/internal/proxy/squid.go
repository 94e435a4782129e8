package proxy

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"paude/pod/internal/children"
)

const squidProgram = "/usr/sbin/squid"

func parse(table *children.Table) error {
	output, status, err := table.Run(exec.Command(squidProgram, "-k", "parse", "-f", config))
	if err != nil {
		return err
	}
	if status.ExitStatus() != 0 {
		return fmt.Errorf("squid refuses its configuration:\n%s", strings.TrimSpace(output))
	}
	return nil
}

func start(table *children.Table) (*children.Child, error) {
	stdout, err := forward(os.Stdout)
	if err != nil {
		return nil, err
	}
	stderr, err := forward(os.Stderr)
	if err != nil {
		return nil, err
	}
	command := exec.Command(squidProgram, "-N", "-f", config)
	command.Stdout, command.Stderr = stdout, stderr
	return table.Start(command)
}

// forward makes a pipe to one of this process's streams. squid opens /dev/stdout by name, which it may not where the
// stream belongs to the container runtime's user.
func forward(to *os.File) (*os.File, error) {
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	go func() { _, _ = io.Copy(to, reader) }()
	return writer, nil
}
