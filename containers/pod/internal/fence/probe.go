package fence

import (
	"context"
	"errors"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// What a probe saw.
const (
	Closed  = "closed"
	Open    = "open"
	Warning = "warning"
	// Unproven: the packet was never sent, so nothing is known. The agent shares this network and could use up its
	// ports to make probes fail.
	Unproven = "unproven"
)

const probeTime = time.Second

var localFaults = []error{
	unix.EADDRNOTAVAIL, unix.EADDRINUSE, unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM, unix.EAGAIN,
}

func (t target) probe(ctx context.Context) Result {
	result := Result{Name: t.name, Address: t.network + " " + t.address, Result: t.reach(ctx)}
	if t.warns && result.Result == Open {
		result.Result = Warning
	}
	return result
}

func (t target) reach(ctx context.Context) string {
	if t.network == "icmp" {
		return ping(t.address)
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	connection, err := (&net.Dialer{}).DialContext(ctx, t.network, t.address)
	if err != nil {
		return refusal(err)
	}
	defer connection.Close()
	if t.network == "tcp" {
		return Open
	}
	return askName(connection)
}

// A policy drops or rejects: no answer and a refusal are the same to the one who asks.
func refusal(err error) string {
	for _, fault := range localFaults {
		if errors.Is(err, fault) {
			return Unproven
		}
	}
	return Closed
}
