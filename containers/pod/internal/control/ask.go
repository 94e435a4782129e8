package control

import (
	"encoding/json"
	"net"
	"os"

	"paude/pod/internal/gate"
	"paude/pod/internal/paths"
	"paude/pod/internal/say"
)

// ask brings a request to the gate's own process and gives its reply.
func ask(request gate.Request) (gate.Reply, error) {
	var reply gate.Reply
	connection, err := net.Dial("unix", paths.GateSocket)
	if err != nil {
		return reply, err
	}
	defer connection.Close()
	if err = json.NewEncoder(connection).Encode(request); err != nil {
		return reply, err
	}
	return reply, json.NewDecoder(connection).Decode(&reply)
}

// tell passes a verb on and says nothing when it was done.
func tell(verb, text string) int {
	_, code := exchange(verb, text)
	return code
}

// show passes a verb on and prints the status as one line.
func show(verb string) int {
	reply, code := exchange(verb, "")
	if code == exitFailed {
		return code
	}
	if json.NewEncoder(os.Stdout).Encode(reply.Status) != nil {
		return exitFailed
	}
	return code
}

func exchange(verb, text string) (gate.Reply, int) {
	reply, err := ask(gate.Request{Verb: verb, Text: text})
	if err != nil {
		say.Line("the gate does not answer: %v", err)
		return reply, exitFailed
	}
	if reply.Error != "" {
		say.Line("%s", reply.Error)
	}
	return reply, reply.Code
}
