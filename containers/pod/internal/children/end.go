package children

import (
	"time"

	"golang.org/x/sys/unix"
)

// EndAll ends every other process of the container: SIGTERM, and SIGKILL to what is left after grace. Only PID 1 of
// a container may call it.
func EndAll(grace time.Duration) {
	if unix.Getpid() != 1 {
		return
	}
	_ = unix.Kill(-1, unix.SIGTERM)
	_ = unix.Kill(-1, unix.SIGCONT) // a stopped process takes SIGTERM only then
	end := time.Now().Add(grace)
	for time.Now().Before(end) {
		if unix.Kill(-1, 0) == unix.ESRCH {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	_ = unix.Kill(-1, unix.SIGKILL)
}
