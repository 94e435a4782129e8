package gate

import (
	"paude/pod/internal/children"
	"paude/pod/internal/sshd"
)

func newServer(table *children.Table) (*sshd.Server, error) {
	return sshd.Prepare(table, "gate.conf", nil)
}
