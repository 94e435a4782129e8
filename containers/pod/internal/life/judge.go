package life

import (
	"fmt"
	"time"
)

// The beginnings of the reasons; the laptop tells by them that nobody parked the session by hand.
const (
	idleFor = "idle for "
	oldFor  = "at its age limit of "
)

// Judge knows since when the agent runs and when it was last seen at work.
type Judge struct {
	Limits
	Begun time.Time
	Busy  time.Time
}

// At tells what is due: the reason to park the session, else the words of a warning, else nothing.
func (j Judge) At(now time.Time) (park, warning string) {
	idle, old := left(j.Idle, j.Busy, now), left(j.Age, j.Begun, now)
	switch {
	case j.Idle > 0 && idle <= 0:
		return idleFor + Words(j.Idle) + ": no output, no process at work, no traffic", ""
	case j.Age > 0 && old <= 0:
		return oldFor + Words(j.Age), ""
	case j.Age > 0 && old <= j.before(j.Age) && (j.Idle == 0 || old <= idle):
		return "", fmt.Sprintf("paude: this session is parked in %s, at its age limit", Words(up(old)))
	case j.Idle > 0 && idle <= j.before(j.Idle):
		return "", fmt.Sprintf("paude: this session is idle and is parked in %s; press a key to keep it", Words(up(idle)))
	}
	return "", ""
}

// before is how long ahead of a limit the warning comes: never more than half of it.
func (j Judge) before(limit time.Duration) time.Duration { return min(j.Warning, limit/2) }

func left(limit time.Duration, since, now time.Time) time.Duration { return limit - now.Sub(since) }

// up rounds to what a person wants to read, so that a warning does not change with every look.
func up(d time.Duration) time.Duration {
	unit := time.Minute
	if d <= time.Minute {
		unit = 10 * time.Second
	}
	return (d + unit - 1).Truncate(unit)
}
