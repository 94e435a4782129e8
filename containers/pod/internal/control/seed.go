package control

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"paude/pod/internal/mark"
	"paude/pod/internal/paths"
	"paude/pod/internal/say"
	"paude/pod/internal/seed"
)

// takeSeed fills the empty workspace from the tar stream on stdin. It is refused once the workspace is seeded: from
// then on the sync alone writes there.
func takeSeed() int {
	broken := mark.Exists(paths.Seeding)
	lock, err := hold()
	if err != nil {
		say.Line("seed: %v", err)
		return exitFailed
	}
	defer lock.Close()
	if code := tell("filling", ""); code != 0 {
		if !broken {
			_ = os.Remove(paths.Seeding)
		}
		return code
	}
	count, err := fill(broken)
	if err != nil {
		say.Line("seed: %v", err)
		return exitFailed
	}
	if code := tell("filled", ""); code != 0 {
		return code
	}
	_ = json.NewEncoder(os.Stdout).Encode(count)
	return 0
}

// hold allows one seeding at a time.
func hold() (*os.File, error) {
	lock, err := os.OpenFile(paths.Seeding, os.O_CREATE|os.O_RDWR, 0o664)
	if err != nil {
		return nil, err
	}
	if err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		return nil, err
	}
	return lock, nil
}

// fill clears away what a seeding that broke off left: files that are gone on the laptop by now would otherwise come back
// from here.
func fill(broken bool) (seed.Count, error) {
	if broken {
		if err := seed.Empty(paths.Workspace); err != nil {
			return seed.Count{}, err
		}
	}
	list, err := os.OpenFile(paths.Unpacked, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o664)
	if err != nil {
		return seed.Count{}, err
	}
	defer list.Close()
	out := bufio.NewWriter(list)
	count, err := seed.Extract(os.Stdin, paths.Workspace, out)
	return count, errors.Join(err, out.Flush())
}
