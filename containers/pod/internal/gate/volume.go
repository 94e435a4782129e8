package gate

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"paude/pod/internal/mark"
	"paude/pod/internal/paths"
)

// prepareVolume makes the directories that the agent's container mounts, and claims the volume for this session.
func prepareVolume(uid string) error {
	unix.Umask(0o002) // on OpenShift a later pod may have another user of the same group
	for _, path := range []string{paths.Workspace, paths.Home, paths.Inbox, paths.GateData} {
		if err := os.MkdirAll(path, 0o775); err != nil {
			return fmt.Errorf("the volume cannot be written by user %d, group %d: %w", os.Getuid(), os.Getgid(), err)
		}
		if err := unix.Access(path, unix.W_OK|unix.X_OK); err != nil {
			return fmt.Errorf("user %d, group %d cannot write %s on the volume: %w", os.Getuid(), os.Getgid(), path, err)
		}
	}
	return claim(uid)
}

func claim(uid string) error {
	owner, claimed := mark.Read(paths.Sentinel)
	if claimed && owner != "" && owner != uid {
		return fmt.Errorf("the volume belongs to another session: its uid is %q, this one's %q", owner, uid)
	}
	if claimed && owner == uid {
		return nil
	}
	return mark.Write(paths.Sentinel, uid)
}
