package control

import (
	"context"
	"encoding/json"
	"net"
	"net/netip"
	"os"
	"regexp"
	"time"

	"paude/pod/internal/fence"
)

// A policy that is not in force yet drops what is sent: each try is short, and a try of its own.
const tryTime = 500 * time.Millisecond

var hostName = regexp.MustCompile(`^[a-z0-9.-]{0,253}$`)

// verify prints what every probe of the fence sees now, as one line.
func verify(host string) int {
	if !hostName.MatchString(host) {
		return refuse("this is no host name")
	}
	reply, code := exchange("verify", host)
	if code == exitFailed || json.NewEncoder(os.Stdout).Encode(reply.Probes) != nil {
		return exitFailed
	}
	return code
}

// awaitProxy returns when the proxy at an address answers for a list: policies, and what stands behind a service's
// address, are in force some time after they were made. It ends with the connection of the one who asked.
func awaitProxy(address, list string) int {
	if _, err := netip.ParseAddr(address); err != nil {
		return refuse("this is no address")
	}
	for {
		ctx, cancel := context.WithTimeout(context.Background(), tryTime)
		answer, err := fence.Ask(ctx, address)
		cancel()
		if err == nil && answer.Allowlist == list {
			return 0
		}
		time.Sleep(retry)
	}
}

// awaitShut returns when the proxy at an address cannot be reached any more.
func awaitShut(address string) int {
	if _, err := netip.ParseAddr(address); err != nil {
		return refuse("this is no address")
	}
	for failures := 0; failures < 2; {
		ctx, cancel := context.WithTimeout(context.Background(), tryTime)
		connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(address, "3128"))
		cancel()
		if err != nil {
			failures++
			continue
		}
		failures = 0
		connection.Close()
		time.Sleep(retry)
	}
	return 0
}
