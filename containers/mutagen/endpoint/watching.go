package endpoint

import (
	"os"
	"path/filepath"

	"paude/sync/report"
	"paude/sync/watch"
)

// watcherVariable names the program that watches on this machine, where this one cannot do so itself.
const watcherVariable = "PAUDE_WATCHER"

// watcher notices the changes at this end; where it cannot, everything is looked at from time to time.
func (e *watched) watcher(path string) watch.Watcher {
	tell := func(state watch.State) {
		if state == watch.Polling {
			e.log("the changes of %s cannot be watched, it is looked at from time to time", path)
		}
		e.tell(func(c *report.Content) { c.Local = state })
	}
	root, err := filepath.EvalSymlinks(path)
	if err != nil {
		root = path
	}
	if program := os.Getenv(watcherVariable); program != "" {
		return watch.Fed(program, root, e.ignored, tell)
	}
	watcher, err := watch.Local(root, e.ignored, tell)
	if err != nil {
		e.log("%v", err)
		tell(watch.Polling)
		return watch.None()
	}
	return watcher
}
