package agent

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"paude/pod/internal/children"
	"paude/pod/internal/paths"
	"paude/pod/internal/say"
)

const (
	sessionName = "agent"
	firstPause  = 100 * time.Millisecond
	lastPause   = 5 * time.Second
	lived       = 10 * time.Second
)

// keepSession keeps a tmux session with the coding agent in it, whatever happens to tmux, until the context ends.
func keepSession(ctx context.Context, table *children.Table, program, environment []string) {
	pause := firstPause
	for ctx.Err() == nil {
		begun := time.Now()
		pane, err := startSession(table, program, environment)
		if err != nil {
			say.Line("%v", err)
		} else {
			untilGone(ctx, pane)
		}
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

// startSession gives the process in the session's pane.
func startSession(table *children.Table, program, environment []string) (int, error) {
	words := append([]string{"-u", "-S", paths.TmuxSocket, "-f", paths.TmuxConfig, "new-session", "-d", "-P", "-F",
		"#{pane_pid}", "-s", sessionName, "-c", paths.AgentWorkspace, "-x", "200", "-y", "50", "--",
		paths.Program, "pane", "--"}, program...)
	command := exec.Command("tmux", words...)
	command.Env, command.Dir = environment, paths.AgentWorkspace
	output, status, err := table.Run(command)
	if err != nil {
		return 0, err
	}
	pane, err := strconv.Atoi(strings.TrimSpace(output))
	if err != nil || status.ExitStatus() != 0 {
		return 0, fmt.Errorf("tmux: %s", strings.TrimSpace(output))
	}
	return pane, nil
}

// untilGone returns when a process, which need not be a child, has ended.
func untilGone(ctx context.Context, pid int) {
	descriptor, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		untilGoneByLooking(ctx, pid)
		return
	}
	defer unix.Close(descriptor)
	wait := []unix.PollFd{{Fd: int32(descriptor), Events: unix.POLLIN}}
	for ctx.Err() == nil {
		if ready, err := unix.Poll(wait, 500); ready > 0 || (err != nil && err != unix.EINTR) {
			return
		}
	}
}

// Kernels before 5.3 have no descriptor for a process.
func untilGoneByLooking(ctx context.Context, pid int) {
	for ctx.Err() == nil && unix.Kill(pid, 0) == nil {
		select {
		case <-ctx.Done():
		case <-time.After(500 * time.Millisecond):
		}
	}
}
