// Package passwd gives the container's arbitrary user a name, which sshd insists on.
package passwd

import (
	"fmt"
	"os"
	"path/filepath"

	"paude/pod/internal/mark"
	"paude/pod/internal/paths"
)

// User is the name to log in with, whatever the number is.
const User = "paude"

// libnss-extrausers ignores entries whose group is below this.
const leastGroup = 500

// Write makes the passwd entry for this process's user. The image's nsswitch.conf asks here first, so an entry that
// the container runtime made in /etc/passwd for the same number (CRI-O, Podman) does no harm.
func Write(home, shell string) error {
	entry := Entry(os.Getuid(), os.Getgid(), home, shell)
	return mark.Put(filepath.Join(paths.ExtraUsers, "passwd"), entry, false)
}

// Entry is the line for a user.
func Entry(uid, gid int, home, shell string) string {
	if gid < leastGroup {
		gid = 1000
	}
	return fmt.Sprintf("%s:*:%d:%d:paude:%s:%s\n", User, uid, gid, home, shell)
}
