// Package pane runs the coding agent in its tmux pane, and says how it ended.
package pane

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"

	"paude/pod/internal/given"
	"paude/pod/internal/mark"
	"paude/pod/internal/paths"
)

const (
	exitUsage    = 2
	exitNotFound = 127
)

// Main runs `-- PROGRAM ARGUMENTS…` again and again, each time when Enter is pressed.
func Main(arguments []string) int {
	if len(arguments) < 2 {
		return exitUsage
	}
	hangUp := takeSignals()
	terminal := remember()
	setUp(hangUp)
	for {
		_ = os.Remove(paths.AgentEnded)
		code := run(arguments[1:], hangUp)
		terminal.restore()
		record(code)
		fmt.Printf("\r\nagent ended (exit %d). Press Enter to start it again, or run `paude stop %s`.\r\n",
			code, os.Getenv("PAUDE_SESSION"))
		if !enter() {
			return code
		}
	}
}

// takeSignals leaves the keyboard's signals to the program, which is in the same process group: a handler of ours,
// other than SIG_IGN, is not inherited.
func takeSignals() <-chan os.Signal {
	keyboard := make(chan os.Signal, 1)
	signal.Notify(keyboard, unix.SIGINT, unix.SIGQUIT, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU)
	hangUp := make(chan os.Signal, 1)
	signal.Notify(hangUp, unix.SIGHUP, unix.SIGTERM)
	return hangUp
}

func run(program []string, hangUp <-chan os.Signal) int {
	command := exec.Command(program[0], program[1:]...)
	// Each time anew: what was renewed while the program ran is there for the next one.
	command.Env = append(os.Environ(), given.Environment()...)
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := command.Start(); err != nil {
		fmt.Printf("%v\r\n", err)
		return exitNotFound
	}
	pid := command.Process.Pid
	_ = command.Process.Release()
	over := make(chan struct{})
	defer close(over)
	go func() {
		select {
		case <-over:
		case number := <-hangUp:
			_ = unix.Kill(pid, number.(unix.Signal))
		}
	}()
	return wait(pid)
}

// wait gives the exit code. There is no shell here to bring a stopped program back, so it goes on at once.
func wait(pid int) int {
	for {
		var status unix.WaitStatus
		_, err := unix.Wait4(pid, &status, unix.WUNTRACED, nil)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return exitNotFound
		case status.Stopped():
			_ = unix.Kill(pid, unix.SIGCONT)
		case status.Signaled():
			return 128 + int(status.Signal())
		default:
			return status.ExitStatus()
		}
	}
}

func record(code int) {
	text, _ := json.Marshal(map[string]any{"code": code, "at": time.Now().UTC().Format(time.RFC3339)})
	_ = mark.Put(paths.AgentEnded, string(text), false)
}
