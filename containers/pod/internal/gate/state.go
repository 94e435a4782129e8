package gate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"paude/pod/internal/fence"
	"paude/pod/internal/lease"
	"paude/pod/internal/life"
	"paude/pod/internal/mark"
	"paude/pod/internal/metadata"
	"paude/pod/internal/paths"
	"paude/pod/internal/say"
)

// Status is what the gate tells about the session; the laptop reads it as JSON.
type Status struct {
	Session    string        `json:"session"`
	UID        string        `json:"uid"` // as the volume says
	Seeded     bool          `json:"seeded"`
	Filled     bool          `json:"filled"` // the sync may look at the workspace
	Released   bool          `json:"released"`
	Leave      bool          `json:"leave"`
	ImageReady bool          `json:"image_ready"`
	Parked     string        `json:"parked"`
	Fence      fence.Verdict `json:"fence"`
	Volume     Space         `json:"volume"`
	History    bool          `json:"history"`
	// Credentials are those that only the gate has.
	Credentials metadata.Standing `json:"credentials"`
	Life        Life              `json:"life"`
	SyncOwner   *Owner            `json:"sync_owner,omitempty"`
}

// Space is the room on the volume in bytes.
type Space struct {
	Total uint64 `json:"total"`
	Free  uint64 `json:"free"`
}

// State is the one place that gives and takes leave.
type State struct {
	mutex    sync.Mutex
	session  string
	image    string
	fenceOff bool
	seeded   bool
	filled   bool // by this gate's lifetime
	released bool
	unproven int
	verdict  fence.Verdict
	looked   lease.Moment  // when the fence was looked at last; 0 by this gate never
	changed  chan struct{} // closed, and replaced, at every change
	keeper   *metadata.Keeper
	life     life.Judge
	traffic  life.Meter
	look     chan struct{} // asks for a round of the fence before its time
	owner    *Owner
}

// So many pairs in a row that prove nothing, in an agent's pod that has leave, are taken for an attempt to hide a way out.
const unprovenLimit = 3

func newState(keeper *metadata.Keeper) *State {
	state := &State{
		session:  os.Getenv("PAUDE_SESSION"),
		image:    os.Getenv("PAUDE_AGENT_IMAGE"),
		fenceOff: os.Getenv("PAUDE_FENCE") == "off",
		seeded:   mark.Exists(paths.Seeded),
		released: mark.Exists(paths.Released),
		verdict:  fence.NewJudge(false).Verdict,
		life:     life.Judge{Limits: life.FromEnvironment()},
		changed:  make(chan struct{}),
		look:     make(chan struct{}, 1),
		keeper:   keeper,
		owner:    readOwner(),
	}
	ready, known := mark.Read(paths.ImageReadyMark)
	if known && ready == state.image {
		state.showImage(ready)
	} else {
		_ = mark.Remove(paths.ImageReady)
	}
	if lease.Holds() { // a gate that was started again beside a running agent
		state.begins()
	}
	if state.fenceOff {
		state.looked = lease.Now()
	}
	state.decide()
	return state
}

// Judged takes a new verdict of the fence.
func (s *State) Judged(verdict fence.Verdict) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.verdict, s.looked = verdict, lease.Now()
	s.unproven++
	if verdict.State != fence.Unknown {
		s.unproven = 0
	}
	s.decide()
	s.tellAll()
}

// Kept says that the gate is there, where there is no fence.
func (s *State) Kept() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.looked = lease.Now()
	s.decide()
}

// decide gives or takes leave; the caller holds the lock. What is not known takes nothing away: an agent that works
// is not stopped because the proxy is being replaced. But a gate that has not looked yet renews nothing either: one that
// ends again and again would keep an agent that nobody guards.
func (s *State) decide() {
	switch {
	case !s.seeded || !s.released:
		s.takeLeave("")
	case s.fenceOff || s.verdict.State == fence.Clean:
		s.giveLeave()
	case s.verdict.State == fence.Leak:
		s.takeLeave("the fence is open: " + s.verdict.Way())
	case s.unproven >= unprovenLimit:
		s.takeLeave("the fence cannot be proven: probes fail inside the pod")
	case s.looked != 0 && lease.Holds():
		s.giveLeave()
	}
}

func (s *State) giveLeave() {
	held := lease.Holds()
	if !held {
		s.begins()
		_ = os.Remove(paths.Parked)
	}
	if err := lease.Give(s.session, s.looked); err != nil {
		say.Line("leave cannot be given: %v", err)
		return
	}
	if !held {
		say.Line("leave given")
	}
}

func (s *State) takeLeave(reason string) {
	if !mark.Exists(paths.Leave) {
		return
	}
	if reason != "" {
		_ = mark.Put(paths.Parked, reason, false)
	}
	_ = os.Remove(paths.Warning)
	if err := lease.Take(); err != nil {
		say.Line("leave cannot be taken away: %v", err)
		return
	}
	say.Line("leave taken away: %s", reason)
}

// Unattended takes leave away when the gate cannot serve: an agent that sits on the gate's port, or has used up what
// the gate needs to begin, would run on with nobody to look at the fence. The next gate gives leave again.
func (s *State) Unattended(why error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.takeLeave(fmt.Sprintf("the gate cannot serve: %v", why))
}

// Seeded remembers that the workspace is whole, once its files and the mark that speaks of them are on the disk: the
// agent may run then, and a node that fails after its first work must not leave a volume that would be filled anew.
func (s *State) Seeded() error {
	s.mutex.Lock()
	known := s.seeded
	s.mutex.Unlock()
	if known {
		return nil
	}
	if err := flush(); err != nil {
		return fmt.Errorf("the workspace cannot be written to the disk: %w", err)
	}
	if err := mark.Write(paths.Seeded, "seeded\n"); err != nil {
		return err
	}
	_ = mark.Remove(paths.Seeding)
	_ = os.Remove(paths.Unpacked)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.seeded = true
	s.decide()
	s.tellAll()
	return nil
}

// Filling begins the first content, and refuses it once the workspace is seeded. What still syncs from an earlier one that
// was not finished ends: it would take what is missing for deleted.
func (s *State) Filling() Reply {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.seeded {
		return Reply{Code: refused, Error: "the workspace is seeded already"}
	}
	if !s.filled {
		return Reply{Code: done} // so no sync agent was let in
	}
	s.filled = false
	return outcome(endOthers(""))
}

// Filled lets the sync in, and begins to write to the disk what the first content has brought, so that Seeded finds
// little to wait for.
func (s *State) Filled() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.filled = true
	s.tellAll()
	go flush()
}

// awaitFilled returns when the sync may look at the workspace.
func (s *State) awaitFilled(ctx context.Context) Reply {
	for {
		s.mutex.Lock()
		change, filled := s.changed, s.seeded || s.filled
		s.mutex.Unlock()
		if filled {
			return Reply{Code: done}
		}
		select {
		case <-ctx.Done():
			return Reply{Code: failed, Error: "the gate ends"}
		case <-change:
		}
	}
}

// flush returns when everything on the volume is on the disk. Where nobody can do that for a whole file system (gVisor)
// nothing is waited for.
func flush() error {
	volume, err := os.Open(paths.Volume)
	if err != nil {
		return err
	}
	defer volume.Close()
	if err = unix.Syncfs(int(volume.Fd())); errors.Is(err, unix.ENOSYS) {
		return nil
	}
	return err
}

// Release remembers that the agent may run.
func (s *State) Release() error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if err := mark.Write(paths.Released, "released\n"); err != nil {
		return err
	}
	s.released = true
	s.begins()
	s.decide()
	s.tellAll()
	return nil
}

// Park takes leave away until the next release.
func (s *State) Park(reason string) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.released = false
	_ = mark.Put(paths.Parked, reason, false)
	s.takeLeave(reason)
	s.tellAll()
	return mark.Remove(paths.Released)
}

// ImageIsReady remembers that the agent's image can be pulled.
func (s *State) ImageIsReady(reference string) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if err := mark.Write(paths.ImageReadyMark, reference); err != nil {
		return err
	}
	s.showImage(reference)
	s.tellAll()
	return nil
}

func (s *State) showImage(reference string) {
	if err := mark.Put(paths.ImageReady, reference, false); err != nil {
		say.Line("%v", err)
	}
}

// Status tells everything.
func (s *State) Status() Status {
	credentials := s.keeper.Standing()
	s.mutex.Lock()
	defer s.mutex.Unlock()
	uid, _ := mark.Read(paths.Sentinel)
	parked, _ := mark.Read(paths.Parked)
	return Status{
		Session: s.session, UID: uid, Seeded: s.seeded, Filled: s.seeded || s.filled, Released: s.released,
		Leave: lease.Holds(), ImageReady: mark.Exists(paths.ImageReady), Parked: parked,
		Fence: s.verdict, Volume: space(), History: mark.Exists(paths.Bundle), Credentials: credentials,
		Life: s.lifeSoFar(), SyncOwner: s.owner,
	}
}

// Changes gives a channel that closes at the next change.
func (s *State) Changes() <-chan struct{} {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.changed
}

// Look has the fence make its next rounds now.
func (s *State) Look() {
	select {
	case s.look <- struct{}{}:
	default:
	}
}

func (s *State) tellAll() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func space() Space {
	var room unix.Statfs_t
	if unix.Statfs(paths.Volume, &room) != nil {
		return Space{}
	}
	return Space{Total: room.Blocks * uint64(room.Bsize), Free: room.Bavail * uint64(room.Bsize)}
}
