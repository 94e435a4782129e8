// Package regular puts a look at all files, at regular intervals, in the place of mutagen's polling, which reads the
// whole tree at its start beside the controller's own first scan.
package regular

import (
	"context"
	"time"

	"github.com/mutagen-io/mutagen/pkg/synchronization"
	"github.com/mutagen-io/mutagen/pkg/synchronization/core"
	"google.golang.org/protobuf/proto"
)

// Endpoint is an endpoint of this machine, opened with Unpolled. Poll returns when a look has found something that the
// last scan had not; each scan is a look.
type Endpoint struct {
	synchronization.Endpoint
	every  time.Duration
	last   *core.Snapshot // nil when the next look must not be compared with it
	looked time.Time
}

// Unpolled gives a configuration with which mutagen does not watch or poll by itself.
func Unpolled(configuration *synchronization.Configuration) *synchronization.Configuration {
	unpolled := proto.Clone(configuration).(*synchronization.Configuration)
	unpolled.WatchMode = synchronization.WatchMode_WatchModeNoWatch
	return unpolled
}

// Every gives the interval at which an endpoint so configured is to be looked at.
func Every(version synchronization.Version, configuration *synchronization.Configuration) time.Duration {
	seconds := configuration.WatchPollingInterval
	if seconds == 0 {
		seconds = version.DefaultWatchPollingInterval()
	}
	return time.Duration(seconds) * time.Second
}

// New looks at what lies behind endpoint at this interval.
func New(endpoint synchronization.Endpoint, every time.Duration) *Endpoint {
	return &Endpoint{Endpoint: endpoint, every: every, looked: time.Now()}
}

// Scan is mutagen's.
func (e *Endpoint) Scan(ctx context.Context, ancestor *core.Entry, full bool) (*core.Snapshot, error, bool) {
	snapshot, err, again := e.Endpoint.Scan(ctx, ancestor, full)
	e.last, e.looked = snapshot, time.Now()
	return snapshot, err, again
}

// Transition is mutagen's. What it has changed may be turned back before the next look, which then must not find
// everything as it was: the other end believes in the change.
func (e *Endpoint) Transition(ctx context.Context, changes []*core.Change) ([]*core.Entry, []*core.Problem, bool, error) {
	e.last = nil
	return e.Endpoint.Transition(ctx, changes)
}

// Poll returns when a look finds a change or fails, and when it is no longer wanted.
func (e *Endpoint) Poll(ctx context.Context) error {
	due := time.NewTimer(time.Until(e.looked.Add(e.every)))
	defer due.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-due.C:
		}
		before := e.last
		found, err, _ := e.Scan(ctx, nil, true)
		if err != nil || before == nil || !found.Equal(before) {
			return nil
		}
		due.Reset(e.every)
	}
}
