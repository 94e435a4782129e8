package displace

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/mutagen-io/mutagen/pkg/filesystem"
	"github.com/mutagen-io/mutagen/pkg/synchronization/core"
)

const mostNames = 1000

// back returns what was taken to its path, where `came` lies now (nil: nothing). What does not fit there any more is
// put beside it under a name of its own, which the sync brings to the other end too.
func (m *Mover) back(taken string, parent *filesystem.Directory, name, path string, came *core.Entry) {
	err := m.toItsPath(taken, parent, name, came)
	if err == nil {
		m.log("%q changed while the other end's version came: both have changed it", path)
		return
	}
	if where, err := beside(taken, parent, name); err == nil {
		m.log("%q changed while the other end's version came: that is now %q beside it", path, where)
		return
	}
	m.log("%q changed while the other end's version came: that lies at %s", path, taken)
}

func (m *Mover) toItsPath(taken string, parent *filesystem.Directory, name string, came *core.Entry) error {
	if came == nil {
		return filesystem.Rename(nil, taken, parent, name, false)
	}
	switch err := exchange(taken, parent, name); {
	case errors.Is(err, fs.ErrNotExist):
		return filesystem.Rename(nil, taken, parent, name, false)
	case err != nil:
		return err
	}
	if m.look.is(taken, came) {
		return os.Remove(taken)
	}
	_, err := beside(taken, parent, name) // what came was changed at once, too
	return err
}

// beside gives what was taken a free name: `report.mine.txt`, `report.mine2.txt` and so on.
func beside(taken string, parent *filesystem.Directory, name string) (string, error) {
	suffix := path.Ext(name)
	if suffix == name {
		suffix = ""
	}
	stem := strings.TrimSuffix(name, suffix)
	for n := 1; n < mostNames; n++ {
		number := ""
		if n > 1 {
			number = fmt.Sprint(n)
		}
		free := stem + ".mine" + number + suffix
		err := filesystem.Rename(nil, taken, parent, free, false)
		if err == nil || !errors.Is(err, fs.ErrExist) {
			return free, err
		}
	}
	return "", fs.ErrExist
}

// recover puts back what a killed process had taken, where that is not what it expected.
func (m *Mover) recover() error {
	left, err := m.place.left()
	if err != nil {
		return err
	}
	for _, one := range left {
		at := m.place.of(one.Number)
		if _, err := os.Lstat(at); err != nil {
			continue
		}
		if m.look.is(at, one.Old) || (one.New != nil && m.look.is(at, one.New)) {
			os.Remove(at)
			continue
		}
		m.recoverOne(at, one)
	}
	if m.place.empty() {
		m.place.remove()
	}
	return nil
}

func (m *Mover) recoverOne(at string, one taken) {
	parent, name, err := m.directory(one.Path)
	if err != nil { // its directory is gone: to the top
		if parent, _, err = filesystem.OpenDirectory(m.root, false); err != nil {
			m.log("%q was taken and cannot be put back: it lies at %s", one.Path, at)
			return
		}
		name = path.Base(one.Path)
	}
	defer parent.Close()
	if filesystem.Rename(nil, at, parent, name, false) == nil {
		return
	}
	if where, err := beside(at, parent, name); err == nil {
		m.log("%q was changed while this was killed: that is now %q beside it", one.Path, where)
	}
}
