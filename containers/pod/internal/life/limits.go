// Package life judges how long an agent may run: until it has been idle for too long, or is too old.
package life

import (
	"os"
	"strings"
	"time"
)

// Limits are what the user set; zero means that there is none.
type Limits struct {
	Idle, Age, Warning time.Duration
}

// FromEnvironment reads what the pod's template says.
func FromEnvironment() Limits {
	return Limits{Idle: span("PAUDE_IDLE_TIMEOUT"), Age: span("PAUDE_MAX_AGE"), Warning: span("PAUDE_LIFE_WARNING")}
}

func span(variable string) time.Duration {
	given, err := time.ParseDuration(os.Getenv(variable))
	if err != nil || given < 0 {
		return 0
	}
	return given
}

// Any tells whether there is a limit at all.
func (l Limits) Any() bool { return l.Idle > 0 || l.Age > 0 }

const (
	longestTick  = 15 * time.Second
	shortestTick = 100 * time.Millisecond
)

// Tick is how often to look: often enough that a limit is kept to about a tenth of it.
func (l Limits) Tick() time.Duration {
	tick := longestTick
	for _, limit := range []time.Duration{l.Idle, l.Age} {
		if limit > 0 {
			tick = min(tick, limit/10)
		}
	}
	return max(tick, shortestTick)
}

// Words writes a duration without the zeros at its end: 4h, 1h30m, 90s would be 1m30s.
func Words(d time.Duration) string {
	text := d.Round(time.Second).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
