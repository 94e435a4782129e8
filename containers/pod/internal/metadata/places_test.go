package metadata

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

func ask(t *testing.T, address string) (net.Conn, error) {
	t.Helper()
	connection, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	if err = connection.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	_, err = io.WriteString(connection, "GET / HTTP/1.1\r\nHost: metadata.test\r\n\r\n")
	if err == nil {
		_, err = http.ReadResponse(bufio.NewReader(connection), nil)
	}
	return connection, err
}

func TestConnectionsCannotUseUpTheGate(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go serve(ctx, listener, NewKeeper("", ""))
	address := listener.Addr().String()
	var first net.Conn
	for range places {
		kept, err := ask(t, address)
		if err != nil {
			t.Fatal(err)
		}
		first = kept
	}
	if _, err = ask(t, address); err == nil {
		t.Fatal("one more was let in")
	}

	first.Close()
	for { // the server notices the end of one in its own time
		if _, err = ask(t, address); err == nil {
			return
		}
	}
}
