package life

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// The kernel counts processor time in these for user space, whatever its own clock is (time(7), USER_HZ).
const ticksPerSecond = 100

// Less than this part of one processor is a program that waits and looks at its clock.
const atWork = 0.10

// Processors knows how much processor time the processes of this container have used.
type Processors struct {
	used uint64
	at   time.Time
}

// Worked tells whether they were at work since it was asked last; the first time they were.
func (p *Processors) Worked(now time.Time) bool {
	used := usedTicks("/proc")
	spent := time.Duration(used-min(p.used, used)) * time.Second / ticksPerSecond
	passed := now.Sub(p.at)
	first := p.at.IsZero()
	p.used, p.at = used, now
	return first || float64(spent) > atWork*float64(passed)
}

// usedTicks adds the time of every process but this one, and of those children that have ended.
func usedTicks(proc string) uint64 {
	var ticks uint64
	files, _ := filepath.Glob(filepath.Join(proc, "[0-9]*", "stat"))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		own := filepath.Base(filepath.Dir(file)) != strconv.Itoa(os.Getpid())
		ticks += ofProcess(string(text), own)
	}
	return ticks
}

// ofProcess reads proc_pid_stat(5): after the name in brackets come utime, stime, cutime, cstime as fields 14 to 17.
func ofProcess(stat string, own bool) uint64 {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 15 {
		return 0
	}
	first := 13
	if own {
		first = 11
	}
	var ticks uint64
	for _, field := range fields[first:15] {
		count, _ := strconv.ParseUint(field, 10, 64)
		ticks += count
	}
	return ticks
}
