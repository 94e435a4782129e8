// Package lease is the agent's leave: a file that says until when the agent may run. Nobody has to be there to take it
// away: one that the gate does not renew, since it has ended, hangs or was stopped, is over by itself.
package lease

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"paude/pod/internal/mark"
	"paude/pod/internal/paths"
)

const (
	// Term is how long leave holds after the fence was looked at. An agent has ended within two seconds more.
	Term = 70 * time.Second
	// Renewal is how often it is looked at; the rest of the term is for rounds that come late.
	Renewal = 45 * time.Second
)

// Moment is a time on the clock that all containers of a node share. It stands still while the node sleeps, so that an
// agent is not sent away because a laptop was shut; and nobody sets it.
type Moment time.Duration

// Now is this moment.
func Now() Moment {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return 0
	}
	return Moment(now.Nano())
}

// Give lets the agent of the session run for a term from when the fence was looked at.
func Give(session string, looked Moment) error {
	return mark.Put(paths.Leave, text(session, looked), false)
}

// Take ends the agent.
func Take() error { return os.Remove(paths.Leave) }

// Holds tells whether the agent may run now.
func Holds() bool {
	found, there := mark.Read(paths.Leave)
	return there && holds(found, Now())
}

func text(session string, looked Moment) string {
	return fmt.Sprintf("%d %s\n", int64(looked)+int64(Term), session)
}

// holds also refuses what ends later than any that was given by now can: it is no leave of this node's.
func holds(found string, now Moment) bool {
	var end int64
	if _, err := fmt.Sscanf(found, "%d ", &end); err != nil {
		return false
	}
	return int64(now) < end && end <= int64(now)+int64(Term)
}

// Main is what the kubelet asks: it ends well when the agent may run.
func Main([]string) int {
	if Holds() {
		return 0
	}
	return 1
}
