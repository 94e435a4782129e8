// Package gate is the trusted container beside the agent: it lets the laptop in, proves the fence and gives leave.
package gate

import (
	"context"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"

	"paude/pod/internal/children"
	"paude/pod/internal/fence"
	"paude/pod/internal/passwd"
	"paude/pod/internal/paths"
	"paude/pod/internal/say"
)

// What sshd and its children get to end by themselves.
const grace = 500 * time.Millisecond

// Main runs the gate until SIGTERM.
func Main([]string) int {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
	defer stop()
	table := children.New()

	if err := prepareVolume(os.Getenv("PAUDE_SESSION_UID")); err != nil {
		return say.Fatal("%v", err)
	}
	if err := passwd.Write(paths.Private, paths.Program); err != nil {
		return say.Fatal("no passwd entry: %v", err)
	}
	listener, err := listen()
	if err != nil {
		return say.Fatal("no control socket: %v", err)
	}
	settings := fence.FromEnvironment()
	if !settings.Off && settings.Proxy == "" {
		return say.Fatal("PAUDE_PROXY is not set, and PAUDE_FENCE is not off")
	}

	keeper := keepCredentials(ctx, settings.Proxy)
	state := newState(keeper)
	go answerAll(ctx, listener, state)
	if err = openDoor(ctx, table); err != nil {
		state.Unattended(err)
		return say.Fatal("%v", err)
	}
	if settings.Off {
		go keepLeave(ctx, state)
	} else {
		go watchFence(ctx, settings, state)
	}
	if state.life.Any() {
		go watchLife(ctx, state)
	}
	<-ctx.Done()
	children.EndAll(grace)
	return 0
}
