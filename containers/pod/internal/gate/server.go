package gate

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"paude/pod/internal/children"
	"paude/pod/internal/door"
	"paude/pod/internal/paths"
	"paude/pod/internal/relay"
	"paude/pod/internal/say"
	"paude/pod/internal/sshd"
)

// openDoor lets the laptop in, one sshd for each connection.
func openDoor(ctx context.Context, table *children.Table) error {
	server, err := sshd.Prepare(table, "gate.conf", nil)
	if err != nil {
		return err
	}
	serve := func(connection *os.File) { server.One(connection) }
	if os.Getenv("PAUDE_DOORS") == "on" {
		if err = openDoors(ctx, paths.Doors, serve); err != nil {
			say.Line("no doors on the volume, there is another way in: %v", err)
		}
	}
	return door.Serve(ctx, paths.GatePort, serve)
}

// openDoors lets in whoever sees the volume from outside, which on Podman is this machine's user: a socket for each
// port, the agent's too, for what is carried there is not looked at. The agent has parts of the volume, and not this one.
func openDoors(ctx context.Context, directory string, serve func(connection *os.File)) error {
	if err := os.MkdirAll(directory, 0o775); err != nil {
		return err
	}
	gate, err := door.Socket(filepath.Join(directory, paths.GatePort))
	if err != nil {
		return fmt.Errorf("the gate's: %w", err)
	}
	door.ServeAll(ctx, gate, serve)
	agent, err := door.Socket(filepath.Join(directory, paths.AgentPort))
	if err != nil {
		return fmt.Errorf("the agent's: %w", err)
	}
	there := net.JoinHostPort("127.0.0.1", paths.AgentPort)
	go relay.Carry(agent, func() (net.Conn, error) { return net.Dial("tcp4", there) })
	return nil
}
