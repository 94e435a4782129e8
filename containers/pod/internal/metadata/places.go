package metadata

import (
	"net"
	"sync"
)

// places is more connections than clients ever have. Whoever shares this network could open so many that the gate runs
// out of memory.
const places = 100

// bounded is a listener that hangs up on those who come while every place is taken.
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
