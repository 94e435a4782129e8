// Package children starts processes and collects every one that ends, as PID 1 has to: its own and the orphans.
package children

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"sync"

	"golang.org/x/sys/unix"
)

// longestOutput is how much of a command's output is kept, in bytes. The refs of the largest repositories fit in.
const longestOutput = 16 << 20

// Table knows the running children. There is one per process, since it collects all of them.
type Table struct {
	mutex   sync.Mutex
	waiting map[int]chan unix.WaitStatus
}

// Child is a started process.
type Child struct {
	Pid  int
	done chan unix.WaitStatus
}

// New begins to collect.
func New() *Table {
	table := &Table{waiting: map[int]chan unix.WaitStatus{}}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, unix.SIGCHLD)
	go func() {
		for range ended {
			table.collect()
		}
	}()
	return table
}

// Start starts a command. Its standard streams have to be files or nothing; nobody else may wait for it.
func (t *Table) Start(command *exec.Cmd) (*Child, error) {
	t.mutex.Lock() // the child may end before it is in the table
	defer t.mutex.Unlock()
	if err := command.Start(); err != nil {
		return nil, err
	}
	child := &Child{Pid: command.Process.Pid, done: make(chan unix.WaitStatus, 1)}
	t.waiting[child.Pid] = child.done
	_ = command.Process.Release()
	return child, nil
}

// Run runs a command to its end and gives what it printed on both streams together.
func (t *Table) Run(command *exec.Cmd) (string, unix.WaitStatus, error) {
	reader, writer, err := os.Pipe()
	if err != nil {
		return "", 0, err
	}
	defer reader.Close()
	command.Stdout, command.Stderr = writer, writer
	child, err := t.Start(command)
	writer.Close()
	if err != nil {
		return "", 0, err
	}
	return t.finish(child, reader)
}

// A daemon started by the command may keep the pipe open, so its output ends with the command. What is more than the
// limit is read and dropped: a command that nobody listens to would never end.
func (t *Table) finish(child *Child, reader *os.File) (string, unix.WaitStatus, error) {
	var output bytes.Buffer
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(&output, io.LimitReader(reader, longestOutput))
		_, _ = io.Copy(io.Discard, reader)
	}()
	status := <-child.done
	_ = reader.SetReadDeadline(soon())
	<-read
	return output.String(), status, nil
}

// Done gives the status once the child has ended.
func (c *Child) Done() <-chan unix.WaitStatus { return c.done }

// Signal sends a signal to a child.
func (c *Child) Signal(number unix.Signal) { _ = unix.Kill(c.Pid, number) }

func (t *Table) collect() {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		if done, known := t.waiting[pid]; known {
			done <- status
			delete(t.waiting, pid)
		}
	}
}
