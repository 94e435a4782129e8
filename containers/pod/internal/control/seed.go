package control

import (
	"encoding/json"
	"os"

	"golang.org/x/sys/unix"

	"paude/pod/internal/gate"
	"paude/pod/internal/mark"
	"paude/pod/internal/paths"
	"paude/pod/internal/say"
	"paude/pod/internal/seed"
)

// takeSeed fills the empty workspace from the tar stream on stdin. It is refused once the workspace is seeded: from
// then on the sync alone writes there.
func takeSeed() int {
	reply, err := ask(gate.Request{Verb: "status"})
	if err != nil {
		say.Line("the gate does not answer: %v", err)
		return exitFailed
	}
	if reply.Status.Seeded {
		say.Line("the workspace is seeded already")
		return exitRefused
	}
	lock, err := begin()
	if err != nil {
		say.Line("seed: %v", err)
		return exitFailed
	}
	defer lock.Close()
	count, err := seed.Extract(os.Stdin, paths.Workspace)
	if err != nil {
		say.Line("seed: %v", err)
		return exitFailed
	}
	_, _ = ask(gate.Request{Verb: "filled"})
	_ = json.NewEncoder(os.Stdout).Encode(count)
	return 0
}

// begin allows one seeding at a time and clears away what one that broke off left: files that are gone on the laptop
// by now would otherwise come back from here.
func begin() (*os.File, error) {
	broken := mark.Exists(paths.Seeding)
	lock, err := os.OpenFile(paths.Seeding, os.O_CREATE|os.O_RDWR, 0o664)
	if err != nil {
		return nil, err
	}
	if err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		return nil, err
	}
	if broken {
		err = seed.Empty(paths.Workspace)
	}
	return lock, err
}
