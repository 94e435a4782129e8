package gate

import (
	"context"
	"encoding/json"
	"os"
	"time"

	"paude/pod/internal/fence"
	"paude/pod/internal/lease"
	"paude/pod/internal/mark"
	"paude/pod/internal/paths"
	"paude/pod/internal/say"
)

const (
	firstPause = 300 * time.Millisecond
	lastPause  = 15 * time.Second
)

// watchFence makes rounds for as long as the gate lives: quickly until the fence is clean, then in time for leave.
func watchFence(ctx context.Context, settings fence.Settings, state *State) {
	// A gate that was started again beside a running agent has nothing to wait for.
	judge := fence.NewJudge(mark.Exists(paths.Leave))
	calm, pause := calmInterval(), firstPause
	for ctx.Err() == nil {
		before := judge.State
		if judge.Waits() {
			settings.Answered(ctx)
		}
		resume := state.traffic.Pause()
		for _, round := range settings.Pair(ctx, judge.Known) {
			if ctx.Err() != nil {
				return
			}
			judge.Add(round)
			// At once: the second round may have closed again what the first found open.
			if judge.State == fence.Leak {
				state.Judged(judge.Verdict)
			}
		}
		resume()
		publish(judge.Verdict, state, before)
		pause = nextPause(pause, calm, judge.State, before)
		select {
		case <-ctx.Done():
		case <-state.look:
		case <-time.After(pause):
		}
	}
}

func publish(verdict fence.Verdict, state *State, before string) {
	if verdict.State != before {
		say.Line("the fence is %s %s%s", verdict.State, verdict.Way(), verdict.Failure)
	}
	if text, err := json.Marshal(verdict); err == nil {
		_ = mark.Put(paths.FenceFile, string(text), false)
	}
	state.Judged(verdict)
}

// calmInterval is shorter where PAUDE_FENCE_INTERVAL says so; with a longer one leave would be over before the next round.
func calmInterval() time.Duration {
	if given, err := time.ParseDuration(os.Getenv("PAUDE_FENCE_INTERVAL")); err == nil && given > 0 {
		return min(given, lease.Renewal)
	}
	return lease.Renewal
}

// keepLeave renews it where there is no fence to look at: an agent whose gate is gone has no limits either.
func keepLeave(ctx context.Context, state *State) {
	ticker := time.NewTicker(lease.Renewal)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			state.Kept()
		}
	}
}

func nextPause(pause, calm time.Duration, state, before string) time.Duration {
	switch {
	case state == fence.Clean:
		return calm
	case state != before:
		return firstPause
	default:
		return min(pause*3/2, lastPause)
	}
}
