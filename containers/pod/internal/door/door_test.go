package door

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
)

func TestASocketTakesThePlaceOfAnEndedGatesAndEverybodyWhoSeesItMayComeIn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "2222")
	for _, word := range []string{"first", "second"} {
		listener, err := Socket(path)
		if err != nil {
			t.Fatal(err)
		}
		listener.(*net.UnixListener).SetUnlinkOnClose(false) // as when the gate was killed
		ctx, end := context.WithCancel(context.Background())
		ServeAll(ctx, listener, func(connection *os.File) { _, _ = connection.WriteString(word) })
		came, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		said, err := io.ReadAll(came)
		if err != nil || string(said) != word {
			t.Fatalf("%q, %v", said, err)
		}
		end()
	}
	found, err := os.Stat(path)
	if err != nil || found.Mode().Perm() != 0o666 {
		t.Fatalf("%v, %v", found, err)
	}
}
