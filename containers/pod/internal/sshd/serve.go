package sshd

import (
	"context"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"

	"paude/pod/internal/say"
)

const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
	// A server that ran this long did not fail to start.
	lived = 10 * time.Second
)

// Serve keeps an sshd running until the context ends.
func (s *Server) Serve(ctx context.Context) {
	pause := firstPause
	for ctx.Err() == nil {
		begun := time.Now()
		s.once(ctx)
		if time.Since(begun) > lived {
			pause = firstPause
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
			pause = min(2*pause, lastPause)
		}
	}
}

func (s *Server) once(ctx context.Context) {
	command := exec.Command(program, "-D", "-e", "-f", s.config)
	command.Env = environment()
	command.Stderr = os.Stderr
	child, err := s.table.Start(command)
	if err != nil {
		say.Line("sshd cannot be started: %v", err)
		return
	}
	select {
	case <-ctx.Done():
		child.Signal(unix.SIGTERM)
	case status := <-child.Done():
		if ctx.Err() == nil {
			say.Line("sshd ended (%v), starting it again", status)
		}
	}
}
