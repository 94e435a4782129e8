// Package agent is PID 1 of the container in which untrusted code runs. It starts nothing without leave and ends
// everything when leave goes; its children cannot stop it: signals from inside do not reach PID 1 of a container
// unless it asks for them, and it cannot be traced.
package agent

import (
	"context"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"

	"paude/pod/internal/await"
	"paude/pod/internal/children"
	"paude/pod/internal/given"
	"paude/pod/internal/lease"
	"paude/pod/internal/life"
	"paude/pod/internal/mark"
	"paude/pod/internal/passwd"
	"paude/pod/internal/paths"
	"paude/pod/internal/say"
	"paude/pod/internal/sshd"
)

const (
	shell = "/bin/bash"
	// Everything has to be over two seconds after leave went.
	grace = time.Second
)

// Main waits for leave and then runs `-- PROGRAM ARGUMENTS…` in tmux, with an sshd beside it.
func Main(arguments []string) int {
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM)
	defer stop()
	ignoreTheRest()
	table := children.New()
	here := environment(os.Environ())

	if err := prepare(); err != nil {
		return say.Fatal("%v", err)
	}
	authorities, err := trust(paths.Secrets, imageTrust, joinedTrust)
	if err != nil {
		return say.Fatal("the company's authorities: %v", err)
	}
	here = append(here, authorities...)
	server, err := sshd.Prepare(table, "agent.conf", forLogins(here))
	if err != nil {
		return say.Fatal("%v", err)
	}
	if await.Until(ctx, paths.Run, lease.Holds) != nil {
		return 0
	}
	say.Line("leave is there")
	ctx, gone := whileLeave(ctx)
	defer gone()
	go server.Serve(ctx)
	go work(ctx, table, program(arguments), here)
	if limits := life.FromEnvironment(); limits.Any() {
		go tellLife(ctx, table, limits.Tick())
	}
	<-ctx.Done()
	say.Line("the end: no leave, or SIGTERM")
	children.EndAll(grace)
	// Now that nobody else is left who could write there: those who see only the pod's status learn why.
	if reason, parked := mark.Read(paths.Parked); parked && !mark.Exists(paths.Leave) {
		say.LastWords("parked: " + reason)
	} else if mark.Exists(paths.Leave) && !lease.Holds() {
		say.LastWords("parked: the gate has not looked at the fence for too long; `paude logs -c gate` may say why")
	}
	return 0
}

// ignoreTheRest takes the signals at which Go's runtime would end. SIG_IGN would be inherited by the children.
func ignoreTheRest() {
	nobody := make(chan os.Signal, 1)
	signal.Notify(nobody, unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGILL, unix.SIGTRAP, unix.SIGABRT, unix.SIGBUS,
		unix.SIGFPE, unix.SIGSEGV, unix.SIGPIPE, unix.SIGALRM, unix.SIGSTKFLT, unix.SIGSYS, unix.SIGUSR1, unix.SIGUSR2)
}

func prepare() error {
	for _, left := range []string{paths.TmuxSocket, paths.AgentEnded} { // by this container's last run
		_ = os.Remove(left)
	}
	unix.Umask(0o002)
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	if err := privateTemporary(); err != nil {
		return err
	}
	return passwd.Write(paths.AgentHome, shell)
}

// whileLeave gives a context that ends when leave goes or is over, at the latest.
func whileLeave(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		_ = await.Until(ctx, paths.Run, func() bool { return !lease.Holds() })
		cancel()
	}()
	return ctx, cancel
}

func program(arguments []string) []string {
	if len(arguments) > 0 && arguments[0] == "--" {
		arguments = arguments[1:]
	}
	if len(arguments) == 0 {
		return []string{shell, "-l"}
	}
	return arguments
}

// work is what leave allows: the history first, since the coding agent looks for it when it starts.
func work(ctx context.Context, table *children.Table, program, here []string) {
	if err := unpackHistory(table, here); err != nil {
		say.Line("the git history could not be unpacked: %v", err)
	}
	furnishHome(paths.Secrets, paths.AgentHome)
	if err := furnishTree(paths.Secrets, paths.AgentHome); err != nil {
		say.Line("the user's files for the agent are not all in the home directory: %v", err)
	}
	keepSession(ctx, table, program, append(here, given.Environment()...))
}
