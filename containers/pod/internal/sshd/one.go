package sshd

import (
	"os"
	"os/exec"

	"paude/pod/internal/say"
)

// One serves a connection to its end.
func (s *Server) One(connection *os.File) {
	command := exec.Command(program, "-i", "-e", "-f", s.config)
	command.Env = environment()
	command.Stdin, command.Stdout, command.Stderr = connection, connection, os.Stderr
	child, err := s.table.Start(command)
	if err != nil {
		say.Line("sshd cannot be started: %v", err)
		return
	}
	connection.Close() // sshd's end of it alone decides when it is over
	<-child.Done()
}
