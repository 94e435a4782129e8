// Package relay is the way to the proxy where a session's network has no devices at all (Podman): a socket in a
// directory that the proxy's container and this one share, and nothing else. Each end turns it into a port of its own
// loopback.
package relay

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"paude/pod/internal/await"
	"paude/pod/internal/say"
)

// SocketVariable names the path of the shared socket, TurnVariable what tells this container from other proxies of the
// session.
const (
	SocketVariable = "PAUDE_PROXY_SOCKET"
	TurnVariable   = "PAUDE_PROXY_TURN"
)

const (
	door = "127.0.0.1:3128"
	// More connections than an agent has use for; the next one waits until one of them ends.
	places = 1000
	retry  = 10 * time.Millisecond
	lull   = time.Second
)

// Main holds a session's network and carries what comes to the proxy's port to the socket, until SIGTERM. Without a
// socket it only holds the network.
func Main([]string) int {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
	defer stop()
	if socket := os.Getenv(SocketVariable); socket != "" {
		listener, err := net.Listen("tcp4", door)
		if err != nil {
			return say.Fatal("the proxy's door: %v", err)
		}
		go Carry(listener, func() (net.Conn, error) { return net.Dial("unix", socket) })
	}
	<-ctx.Done()
	return 0
}

// Serve opens the socket beside the proxy and carries what comes there to its port. It takes the place of a proxy that
// serves the session already, in one step and only once this one answers: no connection is lost on the way, and a proxy
// that does not come up takes nothing over. What the other one carries stays with it: the channel closes when another
// proxy has taken this one's place and nothing is left that came before.
func Serve(ctx context.Context, socket string) (<-chan struct{}, error) {
	retired := make(chan struct{})
	turns := turnsIn(filepath.Dir(socket))
	if turns.over(os.Getenv(TurnVariable)) { // this container was started again, and may not take the session back
		close(retired)
		return retired, nil
	}
	own := fmt.Sprintf("%s.%d", socket, time.Now().UnixNano()) // both proxies have this process's number
	listener, err := net.Listen("unix", own)
	if err != nil {
		return nil, err
	}
	// The containers on both sides have the same user, but need not.
	if err = os.Chmod(own, 0o666); err != nil {
		return nil, err
	}
	go func() {
		awaitDoor()
		mine, err := os.Lstat(own)
		if err == nil {
			err = turns.take(os.Getenv(TurnVariable))
		}
		if err == nil {
			err = os.Rename(own, socket)
		}
		if err != nil {
			say.Line("the socket for sessions: %v", err)
			return
		}
		carried := new(carrier)
		go carried.untilRetired(ctx, socket, mine, retired)
		carried.all(listener, func() (net.Conn, error) { return net.Dial("tcp4", door) })
	}()
	return retired, nil
}

// untilRetired looks twice: a connection that came just before the other proxy is counted a moment later.
func (c *carrier) untilRetired(ctx context.Context, socket string, mine os.FileInfo, retired chan<- struct{}) {
	over := func() bool {
		now, err := os.Lstat(socket)
		return err == nil && !os.SameFile(now, mine) && c.count.Load() == 0
	}
	for ctx.Err() == nil {
		if await.Until(ctx, filepath.Dir(socket), over) != nil {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(lull):
		}
		if over() {
			close(retired)
			return
		}
	}
}

// awaitDoor returns when the proxy accepts connections; squid does not tell when it does.
func awaitDoor() {
	for {
		connection, err := net.Dial("tcp4", door)
		if err == nil {
			connection.Close()
			return
		}
		time.Sleep(retry)
	}
}

// carrier carries connections, and knows how many.
type carrier struct{ count atomic.Int64 }

// Carry joins each connection of a listener to one that dial makes. Does not return.
func Carry(listener net.Listener, dial func() (net.Conn, error)) { new(carrier).all(listener, dial) }

func (c *carrier) all(listener net.Listener, dial func() (net.Conn, error)) {
	taken := make(chan struct{}, places)
	for {
		taken <- struct{}{}
		near, err := listener.Accept()
		if err != nil {
			<-taken
			time.Sleep(10 * time.Millisecond) // out of descriptors, or at the end
			continue
		}
		c.count.Add(1)
		go func() {
			defer func() { c.count.Add(-1); <-taken }()
			carry(near, dial)
		}()
	}
}

func carry(near net.Conn, dial func() (net.Conn, error)) {
	defer near.Close()
	far, err := dial()
	if err != nil {
		return // the one who asked sees the connection end, as with a proxy that is gone
	}
	defer far.Close()
	var both sync.WaitGroup
	both.Add(2)
	go func() { defer both.Done(); copyAll(near, far) }()
	go func() { defer both.Done(); copyAll(far, near) }()
	both.Wait()
}

type halfCloser interface{ CloseWrite() error }

func copyAll(to, from net.Conn) {
	_, err := io.Copy(to, from)
	if half, can := to.(halfCloser); can && err == nil {
		_ = half.CloseWrite()
		return
	}
	to.Close() // broken off: the other direction has nobody left
	from.Close()
}
