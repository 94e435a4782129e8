package regular

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mutagen-io/mutagen/pkg/logging"
	"github.com/mutagen-io/mutagen/pkg/synchronization"
	"github.com/mutagen-io/mutagen/pkg/synchronization/core"
	"github.com/mutagen-io/mutagen/pkg/synchronization/endpoint/local"
)

const often = time.Millisecond

// counted tells of each scan, from which end it came.
type counted struct {
	synchronization.Endpoint
	scans chan struct{}
}

func (c *counted) Scan(ctx context.Context, ancestor *core.Entry, full bool) (*core.Snapshot, error, bool) {
	c.scans <- struct{}{}
	return c.Endpoint.Scan(ctx, ancestor, full)
}

func open(t *testing.T, every time.Duration) (string, *Endpoint, chan struct{}) {
	t.Helper()
	root := t.TempDir()
	t.Setenv("MUTAGEN_DATA_DIRECTORY", t.TempDir())
	write(root, "content")
	configuration := Unpolled(&synchronization.Configuration{WatchMode: synchronization.WatchMode_WatchModeForcePoll})
	inner, err := local.NewEndpoint(logging.NewLogger(logging.LevelDisabled, os.Stderr), root, "sync_x", synchronization.DefaultVersion, configuration, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = inner.Shutdown() })
	scans := make(chan struct{}, 1000)
	return root, New(&counted{inner, scans}, every), scans
}

func write(root, text string) { _ = os.WriteFile(filepath.Join(root, "file"), []byte(text), 0o644) }

func scan(t *testing.T, e *Endpoint) {
	t.Helper()
	if _, err, _ := e.Scan(context.Background(), nil, true); err != nil {
		t.Fatal(err)
	}
}

func polled(ctx context.Context, e *Endpoint) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		_ = e.Poll(ctx)
		close(done)
	}()
	return done
}

func TestAChangeThatNobodyNoticedIsFoundByALook(t *testing.T) {
	root, e, _ := open(t, often)
	scan(t, e)
	write(root, "more content")
	_ = e.Poll(context.Background())
}

func TestLooksThatFindNothingNewDoNotEndThePoll(t *testing.T) {
	_, e, scans := open(t, often)
	scan(t, e)
	ctx, cancel := context.WithCancel(context.Background())
	done := polled(ctx, e)
	for range 5 {
		select {
		case <-scans:
		case <-done:
			t.Fatal("it ended without a change")
		}
	}
	cancel()
	<-done
}

func TestAnEndIsNotLookedAtSoonAfterAScan(t *testing.T) {
	_, e, scans := open(t, time.Hour)
	scan(t, e)
	ctx, cancel := context.WithCancel(context.Background())
	done := polled(ctx, e)
	cancel()
	<-done
	if len(scans) != 1 {
		t.Errorf("%d scans", len(scans))
	}
}

func TestWhatWasTurnedBackAfterATransitionIsFound(t *testing.T) {
	_, e, _ := open(t, often)
	scan(t, e)
	if _, _, _, err := e.Transition(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	_ = e.Poll(context.Background()) // the files are as they were at the last scan
}

func TestMutagenDoesNotPollByItselfAndTheSessionStaysAsItIs(t *testing.T) {
	asked := &synchronization.Configuration{WatchMode: synchronization.WatchMode_WatchModeForcePoll, WatchPollingInterval: 7}
	if mode := Unpolled(asked).WatchMode; mode != synchronization.WatchMode_WatchModeNoWatch {
		t.Errorf("%v", mode)
	}
	if asked.WatchMode != synchronization.WatchMode_WatchModeForcePoll {
		t.Errorf("%v", asked.WatchMode)
	}
	if every := Every(synchronization.DefaultVersion, asked); every != 7*time.Second {
		t.Errorf("%v", every)
	}
}
