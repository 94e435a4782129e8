// Package control is the forced command of the gate's sshd: the only things that a key for the gate can do.
package control

import (
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"paude/pod/internal/say"
)

const (
	exitFailed  = 1
	exitUsage   = 2
	exitRefused = 3
)

// Main does what SSH_ORIGINAL_COMMAND asks for, if it is on the list.
func Main([]string) int {
	// sshd's process for this connection ends with the connection; then nobody reads what this one says.
	_ = unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0)
	unix.Umask(0o002)
	words := strings.Fields(os.Getenv("SSH_ORIGINAL_COMMAND"))
	if len(words) == 0 {
		return refuse("this is no shell")
	}
	if wantsMutagen(words) {
		return execMutagen()
	}
	return verb(words[0], words[1:])
}

func verb(name string, arguments []string) int {
	switch {
	case name == "image-ready" && len(arguments) == 1:
		return tell(name, arguments[0])
	case name == "park" && len(arguments) > 0:
		return tell(name, strings.Join(arguments, " "))
	case name == "verify" && len(arguments) < 2:
		return verify(strings.Join(arguments, ""))
	case name == "take-over" && len(arguments) == 1:
		return tell(name, arguments[0])
	case name == "await-proxy" && len(arguments) == 2:
		return awaitProxy(arguments[0], arguments[1])
	case name == "await-shut" && len(arguments) == 1:
		return awaitShut(arguments[0])
	case looking[name] != nil:
		return lookAt(name, arguments)
	case len(arguments) > 0:
		return refuse("unknown command")
	}
	switch name {
	case "status", "release":
		return show(name)
	case "seeded":
		return tell(name, "")
	case "seed":
		return takeSeed()
	case "history":
		return takeHistory()
	case "credentials":
		return takeCredentials()
	case "await-agent":
		return awaitAgent()
	}
	return refuse("unknown command")
}

func refuse(why string) int {
	say.Line("%s", why)
	return exitUsage
}

// Mutagen asks for its agent at a path in the home directory, with settings; neither counts.
func wantsMutagen(words []string) bool {
	return len(words) >= 2 && path.Base(words[0]) == "mutagen-agent" && words[1] == "synchronizer"
}
