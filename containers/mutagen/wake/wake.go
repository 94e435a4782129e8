// Package wake ends pauses between tries: whoever keeps this process says that the way to a pod is good again.
package wake

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

var (
	lock sync.Mutex
	next = make(chan struct{})
)

// OnSignal lets SIGUSR1 do it from then on.
func OnSignal() {
	arrivals := make(chan os.Signal, 1)
	signal.Notify(arrivals, syscall.SIGUSR1)
	go func() {
		for range arrivals {
			Up()
		}
	}()
}

// Up ends every pause, and those to come of tries that have begun.
func Up() {
	lock.Lock()
	defer lock.Unlock()
	close(next)
	next = make(chan struct{})
}

// Next is closed when somebody says so from now on: taken before a try, it counts for the pause after it as well.
func Next() <-chan struct{} {
	lock.Lock()
	defer lock.Unlock()
	return next
}

// Growing are pauses that double from the first to the last, and begin anew once they were ended.
type Growing struct {
	First, Last time.Duration
	now         time.Duration
}

// Reset makes the next pause the first one.
func (g *Growing) Reset() { g.now = 0 }

// Wait returns after the pause, at `woken`, or with the context.
func (g *Growing) Wait(ctx context.Context, woken <-chan struct{}) {
	g.now = min(max(2*g.now, g.First), g.Last)
	select {
	case <-ctx.Done():
	case <-woken:
		g.Reset()
	case <-time.After(g.now):
	}
}
