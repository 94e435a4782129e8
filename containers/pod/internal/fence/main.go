package fence

import (
	"context"
	"encoding/json"
	"os"
	"os/signal"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"paude/pod/internal/await"
	"paude/pod/internal/paths"
	"paude/pod/internal/say"
)

const (
	exitOpen = 3
	// Between pairs while the answer is not yet there: the probes themselves take up to a second.
	pause = 300 * time.Millisecond
)

// Main is the init container before the agent: it ends well when the fence is clean and the agent's image can be
// pulled, and with exit code 3 when the fence stays open.
func Main([]string) int {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
	defer stop()
	settings := FromEnvironment()
	if !settings.Off && settings.Proxy == "" {
		return say.Fatal("PAUDE_PROXY is not set, and PAUDE_FENCE is not off")
	}
	judge := NewJudge(false)
	if !settings.Off && !settings.prove(ctx, judge) {
		tell(judge.Verdict)
		if ctx.Err() != nil {
			return 1
		}
		say.Line("the fence is open: %s", judge.Way())
		return exitOpen
	}
	if err := await.File(ctx, paths.Run, paths.ImageReady); err != nil {
		return 1
	}
	tell(judge.Verdict)
	return 0
}

// prove makes rounds until the verdict is there: clean, or open for good.
func (s Settings) prove(ctx context.Context, judge *Judge) bool {
	said := ""
	for ctx.Err() == nil {
		if judge.Waits() {
			s.Answered(ctx)
		}
		for _, round := range s.Pair(ctx, judge.Known) {
			judge.Add(round)
			if judge.State == Leak {
				return false
			}
		}
		if judge.State == Clean {
			return true
		}
		if judge.Failure != said {
			said = judge.Failure
			say.Line("waiting for the proxy: %s", said)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	return false
}

func tell(verdict Verdict) {
	if text, err := json.Marshal(verdict); err == nil {
		say.LastWords(string(text))
	}
}

// Verify is the battery as a command of its own: verify [HOST].
func Verify(arguments []string) int {
	settings := FromEnvironment()
	if settings.Proxy == "" || len(arguments) > 1 {
		say.Line("usage: PAUDE_PROXY=ADDRESS paude-pod verify [HOST]")
		return 2
	}
	results := settings.Battery(context.Background(), strings.Join(arguments, ""))
	_ = json.NewEncoder(os.Stdout).Encode(results)
	if AnyOpen(results) {
		return exitOpen
	}
	return 0
}
