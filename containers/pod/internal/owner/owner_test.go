package owner

import (
	"net"
	"os"
	"testing"
)

func pair(t *testing.T) (client, server *net.TCPConn) {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	dialled, err := net.Dial("tcp4", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dialled.Close(); accepted.Close() })
	return dialled.(*net.TCPConn), accepted.(*net.TCPConn)
}

func TestTheOwnUserIsKnown(t *testing.T) {
	_, server := pair(t)
	found, err := ownerOf(server.RemoteAddr().(*net.TCPAddr), server.LocalAddr().(*net.TCPAddr))
	if err != nil || found.gone || found.uid != uint32(os.Getuid()) {
		t.Fatalf("%+v, %v", found, err)
	}
	if Of(server) != Own {
		t.Fatal("this very process is not known")
	}
}

func TestOneWhoHungUpIsNoOwner(t *testing.T) {
	for name, linger := range map[string]int{"in peace": -1, "by reset": 0} {
		t.Run(name, func(t *testing.T) {
			client, server := pair(t)
			if err := client.SetLinger(linger); err != nil {
				t.Fatal(err)
			}
			client.Close()
			found, err := ownerOf(server.RemoteAddr().(*net.TCPAddr), server.LocalAddr().(*net.TCPAddr))
			if err != nil || !found.gone || Of(server) != Gone {
				t.Fatalf("%+v, %v", found, err)
			}
		})
	}
}
