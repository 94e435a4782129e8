package gate

import (
	"context"
	"os"
	"time"

	"paude/pod/internal/lease"
	"paude/pod/internal/mark"
	"paude/pod/internal/paths"
	"paude/pod/internal/say"
)

// Life is how long the agent has been idle and how old its leave is, in seconds, and the limits; a limit of 0 is none.
type Life struct {
	Idle      float64 `json:"idle_s"`
	IdleLimit float64 `json:"idle_limit_s"`
	Age       float64 `json:"age_s"`
	AgeLimit  float64 `json:"age_limit_s"`
}

// watchLife looks again and again whether the agent is at work, and parks the session when its time is up.
func watchLife(ctx context.Context, state *State) {
	ticker := time.NewTicker(state.life.Tick())
	defer ticker.Stop()
	told := toldAt()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			before := told
			told = toldAt()
			// Both are asked, or the meter would count on.
			moved := state.traffic.Moved()
			state.lived(now, moved || !told.Equal(before))
		}
	}
}

// toldAt is when the agent's container last said that something is at work. Only whether it changes counts: an agent
// can write any time there. To seem busy gains it nothing beyond the age limit, to seem idle parks it.
func toldAt() time.Time {
	info, err := os.Lstat(paths.Busy)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

func (s *State) lived(now time.Time, busy bool) {
	park, warning := s.due(now, busy)
	if park != "" {
		if err := s.Park(park); err != nil {
			say.Line("the session is not remembered as parked: %v", err)
		}
		return
	}
	showWarning(warning)
}

func (s *State) due(now time.Time, busy bool) (park, warning string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	running := lease.Holds()
	if busy || !running {
		s.life.Busy = now
	}
	if !running {
		return "", ""
	}
	return s.life.At(now)
}

// begins is called when leave is given; the caller holds the lock. The mark says since when the agent may run, also to
// a gate that was started again.
func (s *State) begins() {
	s.life.Busy = time.Now()
	s.life.Begun = s.life.Busy
	if info, err := os.Stat(paths.Released); err == nil {
		s.life.Begun = info.ModTime()
	}
}

func (s *State) lifeSoFar() Life {
	told := Life{IdleLimit: s.life.Idle.Seconds(), AgeLimit: s.life.Age.Seconds()}
	if lease.Holds() && s.life.Any() {
		now := time.Now()
		told.Idle, told.Age = now.Sub(s.life.Busy).Seconds(), now.Sub(s.life.Begun).Seconds()
	}
	return told
}

func showWarning(text string) {
	shown, _ := mark.Read(paths.Warning)
	if text == shown {
		return
	}
	if text == "" {
		_ = os.Remove(paths.Warning)
		return
	}
	say.Line("%s", text)
	_ = mark.Put(paths.Warning, text, false)
}
