package pane

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Leaves the alternate screen, shows the cursor, ends colours, mouse and paste modes: whatever the program left on.
const calm = "\x1b[?1049l\x1b[?25h\x1b[0m\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1004l\x1b[?2004l"

type terminal struct{ settings *unix.Termios }

func remember() terminal {
	settings, err := unix.IoctlGetTermios(int(os.Stdin.Fd()), unix.TCGETS)
	if err != nil {
		return terminal{}
	}
	return terminal{settings}
}

// restore also forgets keys that were meant for the program.
func (t terminal) restore() {
	if t.settings == nil {
		return
	}
	_ = unix.IoctlSetTermios(int(os.Stdin.Fd()), unix.TCSETSF, t.settings)
	fmt.Print(calm)
}

// enter waits for the key; false means that the terminal is gone.
func enter() bool {
	one := make([]byte, 1)
	for {
		read, err := os.Stdin.Read(one)
		if err != nil || read == 0 {
			return false
		}
		if one[0] == '\n' {
			return true
		}
	}
}
