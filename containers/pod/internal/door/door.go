// Package door stands before the gate's sshd. The agent shares the pod's network and could keep every place for
// unfinished logins taken, or start so many that the gate runs out of memory; so nobody with the agent's user, which is
// also the gate's own, gets as far as sshd. A port-forward comes from the node's side, which is another user's.
package door

import (
	"context"
	"net"
	"os"
	"time"

	"paude/pod/internal/owner"
	"paude/pod/internal/say"
)

// More connections than the laptop ever has.
const places = 200

// Serve listens on loopback and gives each connection to serve, which returns when it is over.
func Serve(ctx context.Context, port string, serve func(connection *os.File)) error {
	listener, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		return err
	}
	ServeAll(ctx, listener, serve)
	return nil
}

// Socket listens at a path, for whoever can see it: what stood there is of a gate that has ended.
func Socket(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	// This machine's user is nobody that the container knows.
	return listener, os.Chmod(path, 0o666)
}

// ServeAll gives each connection of a listener to serve, until the context ends.
func ServeAll(ctx context.Context, listener net.Listener, serve func(connection *os.File)) {
	context.AfterFunc(ctx, func() { listener.Close() })
	go acceptAll(ctx, listener, serve)
}

type filed interface {
	net.Conn
	File() (*os.File, error)
}

func acceptAll(ctx context.Context, listener net.Listener, serve func(connection *os.File)) {
	taken := make(chan struct{}, places)
	for ctx.Err() == nil {
		accepted, err := listener.Accept()
		if err != nil {
			time.Sleep(10 * time.Millisecond) // out of descriptors, or at the end
			continue
		}
		connection := accepted.(filed) // as those of TCP and of sockets all are
		if !welcome(connection) {
			refuse(connection)
			continue
		}
		select {
		case taken <- struct{}{}:
			go func() {
				defer func() { <-taken }()
				hand(connection, serve)
			}()
		default:
			refuse(connection)
		}
	}
}

func hand(connection filed, serve func(connection *os.File)) {
	file, err := connection.File()
	connection.Close()
	if err != nil {
		say.Line("the gate's door: %v", err)
		return
	}
	defer file.Close()
	serve(file)
}

// refuse leaves nothing behind: a connection that waits for its end would hold a port.
func refuse(connection net.Conn) {
	if byTCP, is := connection.(*net.TCPConn); is {
		_ = byTCP.SetLinger(0)
	}
	connection.Close()
}

// welcome tells whether the other end belongs to somebody else than this user. Where the kernel does not say, sshd
// decides alone. A socket is seen only by those who may come in.
func welcome(connection net.Conn) bool {
	byTCP, is := connection.(*net.TCPConn)
	if !is {
		return true
	}
	found := owner.Of(byTCP)
	return found == owner.Other || found == owner.Untold
}
