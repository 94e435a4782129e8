package fence

import (
	"net"
	"time"
)

// The question is real, so that a resolver answers it, and about a name that no resolver asks others about (RFC 6761).
var question = []byte("\x70\x61\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" +
	"\x05fence\x05paude\x07invalid\x00\x00\x01\x00\x01")

// Any answer, a refusal in DNS's own terms too, shows that packets get out and in.
func askName(connection net.Conn) string {
	_ = connection.SetDeadline(time.Now().Add(probeTime))
	if _, err := connection.Write(question); err != nil {
		return refusal(err)
	}
	if _, err := connection.Read(make([]byte, 512)); err != nil {
		return Closed
	}
	return Open
}
