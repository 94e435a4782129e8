package control

import (
	"io"
	"net"
	"time"

	"paude/pod/internal/paths"
)

const (
	banner = "SSH-2.0-"
	// Nothing tells when another container begins to listen; on loopback a refusal costs next to nothing.
	retry   = 20 * time.Millisecond
	patient = 2 * time.Second
)

// awaitAgent returns when the agent's sshd answers. It ends with the connection of the one who asked.
func awaitAgent() int {
	for !greets(net.JoinHostPort("127.0.0.1", paths.AgentPort)) {
		time.Sleep(retry)
	}
	return 0
}

// What answers there is the agent's: no more than the first bytes are read.
func greets(address string) bool {
	connection, err := net.DialTimeout("tcp", address, patient)
	if err != nil {
		return false
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(patient))
	head := make([]byte, len(banner))
	_, err = io.ReadFull(connection, head)
	return err == nil && string(head) == banner
}
