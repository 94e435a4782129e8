package wake

import (
	"context"
	"os"
	"syscall"
	"testing"
	"time"
)

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestAPauseEndsWithTheSignal(t *testing.T) {
	OnSignal()
	ctx, woken := within(t), Next()
	if err := syscall.Kill(os.Getpid(), syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	pauses := Growing{First: time.Hour, Last: time.Hour}
	pauses.Wait(ctx, woken)
	if ctx.Err() != nil {
		t.Fatal("nobody ended it")
	}
}

func TestWhatIsSaidDuringATryCountsForThePauseAfterItAndForNoOther(t *testing.T) {
	woken := Next()
	Up()
	pauses := Growing{First: time.Hour, Last: time.Hour}
	pauses.Wait(within(t), woken)
	select {
	case <-Next():
		t.Fatal("it counts twice")
	default:
	}
}

func TestPausesGrowUntilTheyWereEnded(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	pauses := Growing{First: time.Hour, Last: 5 * time.Hour}
	for _, hours := range []time.Duration{1, 2, 4, 5, 5} {
		pauses.Wait(over, nil)
		if pauses.now != hours*time.Hour {
			t.Fatal(pauses.now)
		}
	}
	woken := Next()
	Up()
	pauses.Wait(t.Context(), woken)
	pauses.Wait(over, nil)
	if pauses.now != time.Hour {
		t.Fatal(pauses.now)
	}
}
