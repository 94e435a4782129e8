package gate

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"time"

	"paude/pod/internal/fence"
	"paude/pod/internal/paths"
)

// Request is what a control process, started by sshd, asks of the gate.
type Request struct {
	Verb string `json:"verb"`
	Text string `json:"text"`
}

// Reply is what it gets. Code is the exit code to end with.
type Reply struct {
	Code   int    `json:"code"`
	Error  string `json:"error"`
	Status Status `json:"status"`
	// What every probe saw, when that was asked for.
	Probes []fence.Result `json:"probes,omitempty"`
}

// AwaitFilled is the verb that is answered when the sync may look at the workspace.
const AwaitFilled = "await-filled"

const (
	done    = 0
	failed  = 1
	refused = 3
)

// listen opens the socket in a directory that only the gate's container has.
func listen() (net.Listener, error) {
	_ = os.Remove(paths.GateSocket)
	listener, err := net.Listen("unix", paths.GateSocket)
	if err != nil {
		return nil, err
	}
	return listener, os.Chmod(paths.GateSocket, 0o600)
}

func answerAll(ctx context.Context, listener net.Listener, state *State) {
	for ctx.Err() == nil {
		connection, err := listener.Accept()
		if err != nil {
			time.Sleep(10 * time.Millisecond) // out of descriptors, or at the end
			continue
		}
		go answer(ctx, connection, state)
	}
}

func answer(ctx context.Context, connection net.Conn, state *State) {
	defer connection.Close()
	var request Request
	decoder := json.NewDecoder(connection)
	if decoder.Decode(&request) != nil {
		return
	}
	ctx, gone := context.WithCancel(ctx)
	defer gone()
	go func() { // the one who asked says nothing more, so this ends when it ends
		_, _ = connection.Read(make([]byte, 1))
		gone()
	}()
	reply := state.do(ctx, request)
	reply.Status = state.Status()
	_ = json.NewEncoder(connection).Encode(reply)
}

func (s *State) do(ctx context.Context, request Request) Reply {
	var err error
	switch request.Verb {
	case "status":
	case "filling":
		return s.Filling()
	case "filled":
		s.Filled()
	case AwaitFilled:
		return s.awaitFilled(ctx)
	case "seeded":
		err = s.Seeded()
	case "image-ready":
		err = s.ImageIsReady(request.Text)
	case "park":
		err = s.Park(request.Text)
	case "credentials":
		_, _, err = s.keeper.Token(ctx)
	case "sync":
		return s.maySync(request.Text)
	case "take-over":
		err = s.TakeOver(request.Text)
	case "release":
		return s.releaseAndWait(ctx)
	case "verify":
		return s.verify(ctx, request.Text)
	default:
		return Reply{Code: failed, Error: "the gate knows no " + request.Verb}
	}
	return outcome(err)
}

func outcome(err error) Reply {
	if err != nil {
		return Reply{Code: failed, Error: err.Error()}
	}
	return Reply{Code: done}
}

// releaseAndWait returns when the agent has leave, or cannot get it.
func (s *State) releaseAndWait(ctx context.Context) Reply {
	if err := s.Release(); err != nil {
		return outcome(err)
	}
	// A way that was open may have been closed since: the gate looks again before it refuses.
	asked := time.Now()
	if s.Status().Fence.State == fence.Leak {
		s.Look()
	}
	for {
		change := s.Changes()
		status := s.Status()
		switch {
		case status.Leave:
			return Reply{Code: done}
		case !status.Released:
			return Reply{Code: refused, Error: "the session was parked meanwhile"}
		case status.Fence.State == fence.Leak && status.Fence.At.After(asked):
			return Reply{Code: refused, Error: "the fence is open: " + status.Fence.Way()}
		}
		select {
		case <-ctx.Done():
			return Reply{Code: failed, Error: "the gate ends"}
		case <-change:
		}
	}
}

// verify makes every probe now. A way around the proxy makes the gate look again at once, which takes leave away.
func (s *State) verify(ctx context.Context, host string) Reply {
	settings := fence.FromEnvironment()
	if settings.Off {
		return Reply{Code: failed, Error: "this session has no wall"}
	}
	reply := Reply{Code: done, Probes: settings.Battery(ctx, host)}
	if fence.AnyOpen(reply.Probes) {
		reply.Code = refused
		s.Look()
	}
	return reply
}
