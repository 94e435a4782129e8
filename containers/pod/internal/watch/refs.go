package watch

import (
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"paude/pod/internal/paths"
)

// Refs tells, in the agent's container and that a branch of the agent's repository may have moved.
// Whoever listens takes it for a hint and no more: everything here is the agent's.
func Refs([]string) int {
	// sshd's process for this connection ends with the connection; then nobody reads what this one says.
	_ = unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0)
	return follow(paths.AgentWorkspace, notRefs(paths.AgentWorkspace))
}

// notRefs leaves of a workspace what holds the heads and the branches of its repository.
func notRefs(root string) skip {
	git := filepath.Join(root, ".git")
	return func(directory, name string) bool {
		switch directory {
		case root:
			return name != ".git"
		case git:
			return name != "HEAD" && name != "packed-refs" && name != "refs" && name != "reftable"
		}
		return strings.HasSuffix(name, ".lock")
	}
}
