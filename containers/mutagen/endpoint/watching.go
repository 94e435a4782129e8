package endpoint

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	urlpkg "github.com/mutagen-io/mutagen/pkg/url"

	"paude/sync/report"
	"paude/sync/watch"
)

const (
	// pollEach is how often an end is looked at that cannot be watched.
	pollEach = 10 * time.Second
	// watcherVariable names the program that watches on this machine, where this one cannot do so itself.
	watcherVariable = "PAUDE_WATCHER"
)

// watch runs the watcher of this end until the endpoint is shut down.
func (e *watched) watch(life context.Context, local bool, url *urlpkg.URL) {
	go e.poll(life)
	if local {
		e.watchLocal(life, url.Path)
		return
	}
	watch.Remote(life, url.Host, e.notice, func(state watch.State) {
		e.live.Store(state == "watching")
		e.tell(func(c *report.Content) { c.Remote = state })
	})
}

func (e *watched) watchLocal(life context.Context, path string) {
	armed := func() {
		e.live.Store(true)
		e.tell(func(c *report.Content) { c.Local = "watching" })
	}
	root, err := filepath.EvalSymlinks(path)
	if program := os.Getenv(watcherVariable); program != "" && err == nil {
		watch.Fed(life, program, root, e.ignored, e.notice, func(state watch.State) {
			e.live.Store(state == "watching")
			e.tell(func(c *report.Content) { c.Local = state })
		})
		return
	}
	if err == nil {
		err = watch.Local(life, root, e.ignored, e.notice, armed)
	}
	e.live.Store(false)
	if err == nil || life.Err() != nil {
		return
	}
	e.tell(func(c *report.Content) { c.Local = "polling" })
	if errors.Is(err, watch.ErrLimit) {
		e.log("%v: changes are looked for each %v", err, pollEach)
		return
	}
	e.log("cannot watch %s (%v): changes are looked for each %v", path, err, pollEach)
}

// poll is the net below the watcher: as long as it is not live, the files are looked at regularly.
func (e *watched) poll(life context.Context) {
	ticker := time.NewTicker(pollEach)
	defer ticker.Stop()
	for {
		select {
		case <-life.Done():
			return
		case <-ticker.C:
			if !e.live.Load() {
				e.notice()
			}
		}
	}
}
