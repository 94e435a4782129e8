package local

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/mutagen-io/mutagen/pkg/synchronization"
)

// names are few, so that things come into each other's places.
var names = []string{"a", "b", "c"}

type chance struct{ *rand.Rand }

func (c chance) path(root string) string {
	path := root
	for range 1 + c.IntN(3) {
		path = filepath.Join(path, names[c.IntN(len(names))])
	}
	return path
}

// disturb does something to the tree; that it often fails does not matter.
func (c chance) disturb(root string, step int) string {
	path, other := c.path(root), c.path(root)
	what := c.IntN(9)
	switch what {
	case 0, 1, 2:
		os.MkdirAll(filepath.Dir(path), 0o755)
		os.WriteFile(path, fmt.Appendf(nil, "step %d", step), 0o644)
	case 3:
		os.Rename(path, other)
	case 4:
		os.RemoveAll(path)
	case 5:
		os.MkdirAll(path, 0o755)
	case 6:
		os.Symlink(names[c.IntN(len(names))], path)
	case 7:
		os.Chmod(path, []os.FileMode{0o755, 0o644, 0o700}[c.IntN(3)])
	case 8: // out of the tree and back, changed meanwhile by its old name
		away := filepath.Join(root+"-away", "x")
		if os.MkdirAll(filepath.Dir(away), 0o755) == nil && os.Rename(path, away) == nil {
			os.WriteFile(filepath.Join(away, "a"), fmt.Appendf(nil, "away %d", step), 0o644)
			os.MkdirAll(filepath.Join(path, "b"), 0o755)
			os.Rename(away, other)
		}
		os.RemoveAll(filepath.Dir(away))
	}
	return fmt.Sprintf("%d %s %s", what, path, other)
}

func TestLooksAtWhatChangedAgreeWithLooksAtEverything(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			e := open(t, &synchronization.Configuration{}, watching(t))
			dice := chance{rand.New(rand.NewPCG(seed, 0))}
			var done []string
			for step := range 150 {
				for range 1 + dice.IntN(4) {
					done = append(done, dice.disturb(e.root, step))
				}
				if found, whole := e.scan(false).Content, e.whole(); !found.Equal(whole, true) {
					t.Fatalf("step %d, %v:\n%v\n%v", step, done[max(0, len(done)-8):], found, whole)
				}
			}
		})
	}
}
