package fence

import (
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// An echo request with an empty body; the kernel fills in identifier and checksum of a ping socket.
var echo = []byte{8, 0, 0, 0, 0, 0, 0, 1}

// ping asks for an echo by the one kind of ICMP socket that needs no capability. Where the kernel gives none
// (net.ipv4.ping_group_range), nothing of the kind can leave. IPv4 only: a policy that forgets IPv6 shows by TCP.
func ping(address string) string {
	to, err := netip.ParseAddr(address)
	if err != nil || !to.Is4() {
		return Closed
	}
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMP)
	if err != nil {
		return refusal(err)
	}
	defer unix.Close(socket)
	patience := unix.NsecToTimeval(int64(probeTime / time.Nanosecond))
	_ = unix.SetsockoptTimeval(socket, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience)
	if err = unix.Sendto(socket, echo, 0, &unix.SockaddrInet4{Addr: to.As4()}); err != nil {
		return refusal(err)
	}
	answer := make([]byte, 64)
	if length, _, err := unix.Recvfrom(socket, answer, 0); err != nil || length == 0 || answer[0] != 0 {
		return Closed // type 0 is the echo; anything else tells that it was not let through
	}
	return Open
}

// sockets tries the kinds of sockets past which no policy for addresses may hold; a session's containers get none.
func sockets() []Result {
	var results []Result
	for _, one := range []struct {
		name                   string
		family, kind, protocol int
	}{
		{"raw IPv4", unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP},
		{"raw IPv6", unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_ICMPV6},
		{"packet", unix.AF_PACKET, unix.SOCK_RAW, 0},
	} {
		result := Result{"socket", one.name, Closed}
		if socket, err := unix.Socket(one.family, one.kind|unix.SOCK_CLOEXEC, one.protocol); err == nil {
			unix.Close(socket)
			result.Result = Warning
		}
		results = append(results, result)
	}
	return results
}
