package fence

import (
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// family is how an address family asks for an echo, and what answers (RFC 792, RFC 4443).
type family struct {
	domain, protocol int
	request, reply   byte
}

var (
	icmp4 = family{unix.AF_INET, unix.IPPROTO_ICMP, 8, 0}
	icmp6 = family{unix.AF_INET6, unix.IPPROTO_ICMPV6, 128, 129}
)

// ping asks for an echo by the one kind of ICMP socket that needs no capability. Where the kernel gives none
// (net.ipv4.ping_group_range, for both families), nothing of the kind can leave.
func ping(address string) string {
	to, err := netip.ParseAddr(address)
	if err != nil {
		return Closed
	}
	of := icmp6
	if to.Is4() {
		of = icmp4
	}
	socket, err := unix.Socket(of.domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, of.protocol)
	if err != nil {
		return refusal(err)
	}
	defer unix.Close(socket)
	patience := unix.NsecToTimeval(int64(probeTime / time.Nanosecond))
	_ = unix.SetsockoptTimeval(socket, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience)
	// The body is empty; the kernel fills in identifier and checksum.
	if err = unix.Sendto(socket, []byte{of.request, 0, 0, 0, 0, 0, 0, 1}, 0, socketAddress(to)); err != nil {
		return refusal(err)
	}
	answer := make([]byte, 64)
	if length, _, err := unix.Recvfrom(socket, answer, 0); err != nil || length == 0 || answer[0] != of.reply {
		return Closed // anything but the echo tells that it was not let through
	}
	return Open
}

func socketAddress(to netip.Addr) unix.Sockaddr {
	if to.Is4() {
		return &unix.SockaddrInet4{Addr: to.As4()}
	}
	address := &unix.SockaddrInet6{Addr: to.As16()}
	if link, err := net.InterfaceByName(to.Zone()); err == nil {
		address.ZoneId = uint32(link.Index)
	}
	return address
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
