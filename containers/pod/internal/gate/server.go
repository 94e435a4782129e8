package gate

import (
	"context"
	"os"

	"paude/pod/internal/children"
	"paude/pod/internal/door"
	"paude/pod/internal/paths"
	"paude/pod/internal/sshd"
)

// openDoor lets the laptop in, one sshd for each connection.
func openDoor(ctx context.Context, table *children.Table) error {
	server, err := sshd.Prepare(table, "gate.conf", nil)
	if err != nil {
		return err
	}
	return door.Serve(ctx, paths.GatePort, func(connection *os.File) { server.One(connection) })
}
