// Package owner finds whose connection it is that came over loopback: the agent's and the gate's user are one, and a
// port-forward comes from the node's side, which is another's.
package owner

import (
	"encoding/binary"
	"errors"
	"net"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What the kernel is asked, and what it answers, about one socket (linux/inet_diag.h).
type socketID struct {
	sourcePort, targetPort [2]byte
	source, target         [16]byte
	device                 uint32
	cookie                 [2]uint32
}

type question struct {
	header                          unix.NlMsghdr
	family, protocol, extensions, _ uint8
	states                          uint32
	id                              socketID
}

type answer struct {
	header                        unix.NlMsghdr
	family, state, timer, retries uint8
	id                            socketID
	expires, unread, unsent       uint32
	uid, inode                    uint32
}

const (
	diagnoseByFamily = 20 // SOCK_DIAG_BY_FAMILY
	anyState         = ^uint32(0)
)

type owner struct {
	uid  uint32
	gone bool // the process has closed it already
}

// Kind is what is known of who stands at the other end.
type Kind int

const (
	Untold Kind = iota // the kernel does not say
	Gone               // hung up already
	Own                // this very user: the agent, or the gate itself
	Other              // somebody else: who came from the node's side
)

// Of tells who stands at the other end of a connection.
func Of(connection *net.TCPConn) Kind {
	found, err := ownerOf(connection.RemoteAddr().(*net.TCPAddr), connection.LocalAddr().(*net.TCPAddr))
	switch {
	case err != nil:
		return Untold
	case found.gone:
		return Gone
	case found.uid == uint32(os.Getuid()):
		return Own
	default:
		return Other
	}
}

var errUnknown = errors.New("the kernel does not tell whose socket it is")

// ownerOf finds whose socket in this network goes from source to target.
func ownerOf(source, target *net.TCPAddr) (owner, error) {
	descriptor, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return owner{}, err
	}
	defer unix.Close(descriptor)
	asked := ask(source, target)
	if err = unix.Sendto(descriptor, asked, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return owner{}, err
	}
	buffer := make([]byte, 4096)
	length, _, err := unix.Recvfrom(descriptor, buffer, 0)
	if err != nil {
		return owner{}, err
	}
	return parse(buffer[:length])
}

func ask(source, target *net.TCPAddr) []byte {
	var one question
	one.header = unix.NlMsghdr{Len: uint32(unsafe.Sizeof(one)), Type: diagnoseByFamily, Flags: unix.NLM_F_REQUEST}
	one.family, one.protocol, one.states = unix.AF_INET, unix.IPPROTO_TCP, anyState
	binary.BigEndian.PutUint16(one.id.sourcePort[:], uint16(source.Port))
	binary.BigEndian.PutUint16(one.id.targetPort[:], uint16(target.Port))
	copy(one.id.source[:], source.IP.To4())
	copy(one.id.target[:], target.IP.To4())
	one.id.cookie = [2]uint32{anyState, anyState}
	return append([]byte{}, unsafe.Slice((*byte)(unsafe.Pointer(&one)), unsafe.Sizeof(one))...)
}

func parse(message []byte) (owner, error) {
	if missing(message) {
		return owner{gone: true}, nil
	}
	if len(message) < int(unsafe.Sizeof(answer{})) {
		return owner{}, errUnknown
	}
	one := (*answer)(unsafe.Pointer(&message[0]))
	if one.header.Type != diagnoseByFamily {
		return owner{}, errUnknown
	}
	return owner{uid: one.uid, gone: one.inode == 0}, nil
}

func missing(message []byte) bool {
	if len(message) < unix.SizeofNlMsghdr+4 || (*unix.NlMsghdr)(unsafe.Pointer(&message[0])).Type != unix.NLMSG_ERROR {
		return false
	}
	code := int32(binary.NativeEndian.Uint32(message[unix.SizeofNlMsghdr:]))
	return unix.Errno(-code) == unix.ENOENT
}
