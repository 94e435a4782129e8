package endpoint

import (
	"fmt"
	"time"

	"github.com/mutagen-io/mutagen/pkg/synchronization/core"

	"paude/sync/repository"
)

// fencedEach is how often both ends are looked at while the fence is shut: what opens it is no change of a file.
const fencedEach = 2 * time.Second

// fence keeps files from travelling after a branch was switched at one end only: they would turn up as changes of the
// branch that is checked out at the other. It opens when both ends have the same branch, or commit, again.
type fence struct {
	laptop, pod repository.Head // as they were last
	shut        bool
}

// look takes what is checked out now, and says why nothing may travel, or nothing.
func (f *fence) look(laptop, pod repository.Head) string {
	if switched(f.laptop, laptop) || switched(f.pod, pod) {
		f.shut = true
	}
	f.laptop, f.pod = latest(f.laptop, laptop), latest(f.pod, pod)
	if !laptop.Known() || !pod.Known() || laptop.Same(pod) {
		f.shut = false
	}
	if !f.shut {
		return ""
	}
	return fmt.Sprintf("%q is checked out here and %q in the pod", laptop.Name(), pod.Name())
}

// switched: a new branch from where one is changes no file, and neither does a commit.
func switched(before, now repository.Head) bool {
	return before.Known() && now.Known() && before.Commit != now.Commit && (before.Ref != now.Ref || now.Ref == "")
}

func latest(before, now repository.Head) repository.Head {
	if now.Known() {
		return now
	}
	return before
}

// fenced answers that nothing was changed, and has no problem with that.
func fenced(changes []*core.Change) ([]*core.Entry, []*core.Problem, bool, error) {
	results := make([]*core.Entry, len(changes))
	for i, c := range changes {
		results[i] = c.Old
	}
	return results, nil, false, nil
}
