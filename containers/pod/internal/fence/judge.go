package fence

import "time"

// States of the fence.
const (
	Unknown     = "unknown"
	Clean       = "clean"
	Leak        = "open"
	Unreachable = "proxy-unreachable"
)

const (
	cleanRounds = 2
	// Network plug-ins program a new pod's policy late: that long an open way is not yet a leak.
	Settling = 20 * time.Second
)

// Verdict is what is known, in the form that others read.
type Verdict struct {
	State     string    `json:"state"`
	Rounds    int       `json:"rounds"` // clean ones in a row
	Targets   []Result  `json:"targets"`
	Allowlist string    `json:"allowlist,omitempty"`
	Failure   string    `json:"failure,omitempty"` // why the proxy does not answer
	At        time.Time `json:"at"`
}

// Judge turns rounds into a verdict.
type Judge struct {
	Verdict
	Known    Answer    // what the proxy said last
	settled  bool      // it was clean once, or has no time to settle
	answered time.Time // when the proxy answered first
}

// NewJudge knows nothing yet. With strict the first open way counts at once.
func NewJudge(strict bool) *Judge {
	return &Judge{Verdict: Verdict{State: Unknown, Targets: []Result{}}, settled: strict}
}

// Add takes one more round into account.
func (j *Judge) Add(round Round) {
	j.Targets, j.At, j.Failure = round.Results, round.At.UTC().Truncate(time.Millisecond), ""
	if round.Answer == nil {
		j.Failure = round.Failure.Error()
	} else {
		j.Known, j.Allowlist = *round.Answer, round.Answer.Allowlist
		if j.answered.IsZero() {
			j.answered = round.At
		}
	}
	j.State = j.state(round)
	j.settled = j.settled || j.State == Clean
}

func (j *Judge) state(round Round) string {
	if saw(round, Open) {
		j.Rounds = 0
		return j.open(round)
	}
	if saw(round, Unproven) { // then a silent proxy proves nothing either
		j.Rounds = 0
		return Unknown
	}
	if round.Answer == nil {
		j.Rounds = 0
		return Unreachable
	}
	j.Rounds++
	if j.Rounds < cleanRounds {
		return Unknown
	}
	return Clean
}

func (j *Judge) open(round Round) string {
	if j.settled {
		return Leak
	}
	if j.answered.IsZero() {
		return Unreachable
	}
	if round.At.Sub(j.answered) < Settling {
		return Unknown
	}
	return Leak
}

func saw(round Round, what string) bool {
	for _, result := range round.Results {
		if result.Result == what {
			return true
		}
	}
	return false
}

// Waits says that nothing can be proved yet: no agent runs, and the proxy has never answered.
func (j *Judge) Waits() bool { return !j.settled && j.answered.IsZero() }

// Way names the first open way, for people.
func (v Verdict) Way() string {
	for _, one := range v.Targets {
		if one.Result == Open {
			return one.Name + " " + one.Address
		}
	}
	return ""
}
