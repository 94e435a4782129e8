package gate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"paude/pod/internal/mark"
	"paude/pod/internal/paths"
	"paude/pod/internal/say"
)

// LaptopVariable is where a laptop's ssh says which one it is, as ID@HOST. A process that syncs keeps it, so that it
// can be told whose it is.
const LaptopVariable = "PAUDE_LAPTOP"

const endOthersWithin = 2 * time.Second

var laptopName = regexp.MustCompile(`^([0-9a-f]{16})@([A-Za-z0-9.-]{1,63})$`)

// Owner is the one laptop with which the workspace is kept in step.
type Owner struct {
	Laptop string    `json:"laptop"` // random, made by that laptop
	Host   string    `json:"host"`   // for people
	Since  time.Time `json:"since"`
}

func parseLaptop(name string) (Owner, bool) {
	found := laptopName.FindStringSubmatch(name)
	if found == nil {
		return Owner{}, false
	}
	return Owner{Laptop: found[1], Host: found[2], Since: time.Now().UTC().Truncate(time.Second)}, true
}

func readOwner() *Owner {
	text, known := mark.Read(paths.SyncOwner)
	var owner Owner
	if !known || json.Unmarshal([]byte(text), &owner) != nil || owner.Laptop == "" {
		return nil
	}
	return &owner
}

// maySync lets the owner sync. The first laptop that comes is the owner, until another one takes over; one that does
// not say who it is (of an older paude) may sync while there is no owner.
func (s *State) maySync(laptop string) Reply {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	comer, named := parseLaptop(laptop)
	switch {
	case s.owner != nil && (!named || comer.Laptop != s.owner.Laptop):
		return Reply{Code: refused, Error: fmt.Sprintf(
			"the sync of this session was taken over by %s at %s", s.owner.Host, s.owner.Since.Format(time.RFC3339))}
	case s.owner == nil && named:
		return outcome(s.own(comer))
	}
	return Reply{Code: done}
}

// TakeOver makes a laptop the owner and ends what still syncs for another one.
func (s *State) TakeOver(laptop string) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	comer, named := parseLaptop(laptop)
	if !named {
		return errors.New("this is no laptop's name")
	}
	if err := s.own(comer); err != nil {
		return err
	}
	return endOthers(comer.Laptop)
}

// own writes the owner down before anything counts on it; the caller holds the lock.
func (s *State) own(comer Owner) error {
	text, err := json.Marshal(comer)
	if err != nil {
		return err
	}
	if err = mark.Write(paths.SyncOwner, string(text)); err != nil {
		return err
	}
	s.owner = &comer
	say.Line("the sync belongs to %s", comer.Host)
	return nil
}

// endOthers kills the processes below this one that sync for another laptop and waits until they are gone. One that
// was let in and has not become the sync agent yet bears the variable already.
func endOthers(laptop string) error {
	end := time.Now().Add(endOthersWithin)
	for {
		others := othersOf(laptop)
		if len(others) == 0 {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("process %d, which syncs for another laptop, does not end", others[0])
		}
		for _, pid := range others {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		time.Sleep(10 * time.Millisecond) // the end of a process that is not one's child has no event
	}
}

func othersOf(laptop string) []int {
	parents := parentsOfAll()
	var found []int
	for pid := range parents {
		name, syncs := laptopOf(pid)
		if syncs && !strings.HasPrefix(name, laptop+"@") && descends(pid, parents) {
			found = append(found, pid)
		}
	}
	return found
}

// laptopOf gives the laptop for which a process syncs. One that has ended, or may not be looked into, has none.
func laptopOf(pid int) (string, bool) {
	environment, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	for _, one := range bytes.Split(environment, []byte{0}) {
		if name, found := strings.CutPrefix(string(one), LaptopVariable+"="); found {
			return name, true
		}
	}
	return "", false
}

func parentsOfAll() map[int]int {
	parents := map[int]int{}
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		text, _ := os.ReadFile(file)
		// PID (COMMAND) STATE PARENT …, and the command may hold anything.
		rest := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if len(rest) > 1 {
			parents[pid], _ = strconv.Atoi(rest[1])
		}
	}
	return parents
}

func descends(pid int, parents map[int]int) bool {
	for step := 0; step < len(parents); step++ {
		parent, known := parents[pid]
		if !known || parent == 0 {
			return false
		}
		if parent == os.Getpid() {
			return true
		}
		pid = parent
	}
	return false
}
