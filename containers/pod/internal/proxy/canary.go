package proxy

import (
	"net"
	"time"
)

// The proxy's ingress policy lets the agent reach this port; only the agent's egress policy stands between. A fence
// that gets through has found that policy missing.
const canaryAddress = ":3129"

func openCanary() error {
	listener, err := net.Listen("tcp", canaryAddress)
	if err != nil {
		return err
	}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				time.Sleep(100 * time.Millisecond)
				continue
			}
			_, _ = connection.Write([]byte("canary\n"))
			connection.Close()
		}
	}()
	return nil
}
