package gate

import (
	"context"
	"encoding/json"
	"net"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"paude/pod/internal/metadata"
)

// crowded is a listener in a process that has no descriptor left when the first connection comes.
type crowded struct {
	net.Listener
	failed bool
}

func (c *crowded) Accept() (net.Conn, error) {
	if !c.failed {
		c.failed = true
		return nil, unix.EMFILE
	}
	return c.Listener.Accept()
}

func TestTheGateAnswersAfterAConnectionThatItCouldNotTake(t *testing.T) {
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "gate.sock"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		answerAll(ctx, &crowded{Listener: listener}, &State{keeper: metadata.NewKeeper("", "")})
	}()
	defer func() { stop(); listener.Close(); <-ended }()

	answered := make(chan error, 1)
	go func() { answered <- status(listener.Addr().String()) }()
	select {
	case err = <-answered:
		if err != nil {
			t.Fatal(err)
		}
	case <-ended:
		t.Fatal("the gate takes no connection any more")
	}
}

func status(socket string) error {
	connection, err := net.Dial("unix", socket)
	if err != nil {
		return err
	}
	defer connection.Close()
	if err = json.NewEncoder(connection).Encode(Request{Verb: "status"}); err != nil {
		return err
	}
	var reply Reply
	return json.NewDecoder(connection).Decode(&reply)
}
