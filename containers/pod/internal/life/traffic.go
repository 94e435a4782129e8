package life

import (
	"os"
	"strconv"
	"strings"
	"sync"
)

const (
	devices = "/proc/net/dev"
	// Below this a look counts as silence: neighbours ask for addresses, and answers to probes come late.
	silence = 4 << 10
)

// Meter counts what the pod sends and receives, but for what paude itself causes. Loopback does not count: the laptop
// comes that way, and stays connected while nobody works.
type Meter struct {
	mutex   sync.Mutex
	known   uint64
	own     uint64
	started uint64
	paused  bool
}

// Pause begins something whose traffic is paude's own; the result ends it.
func (m *Meter) Pause() (resume func()) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.started, m.paused = total(), true
	return func() {
		m.mutex.Lock()
		defer m.mutex.Unlock()
		m.own += total() - m.started
		m.paused = false
	}
}

// Moved tells whether there was traffic since it was asked last.
func (m *Meter) Moved() bool {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	now := total()
	if m.paused {
		now = m.started
	}
	now -= m.own
	moved := now > m.known+silence
	m.known = now
	return moved
}

func total() uint64 {
	text, err := os.ReadFile(devices)
	if err != nil {
		return 0
	}
	return sum(string(text))
}

// sum adds the bytes of all devices but loopback; columns as proc_net_dev(5) has them: received first, sent ninth.
func sum(table string) uint64 {
	var bytes uint64
	for _, line := range strings.Split(table, "\n") {
		name, rest, found := strings.Cut(line, ":")
		fields := strings.Fields(rest)
		if !found || strings.TrimSpace(name) == "lo" || len(fields) < 9 {
			continue
		}
		for _, field := range []string{fields[0], fields[8]} {
			count, _ := strconv.ParseUint(field, 10, 64)
			bytes += count
		}
	}
	return bytes
}
