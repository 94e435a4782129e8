package agent

import (
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"paude/pod/internal/paths"
	"paude/pod/internal/say"
)

const homePrefix = "home."

// furnishHome puts the Secret's keys `home.NAME` into the home directory, each where nothing of that name is: what the
// coding agent has written since belongs to it.
func furnishHome(secrets, home string) {
	entries, err := os.ReadDir(secrets)
	if err != nil {
		return
	}
	for _, entry := range entries {
		name, ours := strings.CutPrefix(entry.Name(), homePrefix)
		if !ours || name == "" {
			continue
		}
		if err = furnish(filepath.Join(secrets, entry.Name()), filepath.Join(home, name)); err != nil && !os.IsExist(err) {
			say.Line("%s is not in the home directory: %v", name, err)
		}
	}
}

func furnish(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if closed := file.Close(); err == nil {
		err = closed
	}
	return err
}

// privateTemporary makes a directory that only this user can write: a volume mounted at /tmp has no sticky bit, and
// programs that look for one refuse to put their sockets there.
func privateTemporary() error {
	if err := os.Mkdir(paths.AgentTemporary, 0o700); err != nil && !os.IsExist(err) {
		return err
	}
	return nil
}
