package metadata

import (
	"net"
	"sync"

	"paude/pod/internal/owner"
)

// places is more connections than clients ever have. Whoever shares this network could open so many that the gate runs
// out of memory.
const places = 100

// bounded is a listener that hangs up on those who come while every place is taken, and on all but the agent: tokens
// are not for whoever may forward a port of the pod. Where the kernel does not say who it is, it is taken for the agent;
// the sandboxes that do not say forward no ports either.
type bounded struct {
	net.Listener
	taken chan struct{}
}

func boundedBy(listener net.Listener, places int) *bounded {
	return &bounded{listener, make(chan struct{}, places)}
}

func (b *bounded) Accept() (net.Conn, error) {
	for {
		connection, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if found := owner.Of(connection.(*net.TCPConn)); found != owner.Own && found != owner.Untold {
			connection.Close()
			continue
		}
		select {
		case b.taken <- struct{}{}:
			return &seated{connection, sync.OnceFunc(func() { <-b.taken })}, nil
		default:
			connection.Close()
		}
	}
}

// seated is a connection that gives its place back when it is closed.
type seated struct {
	net.Conn
	leave func()
}

func (s *seated) Close() error {
	defer s.leave()
	return s.Conn.Close()
}
