package life

import (
	"strings"
	"testing"
	"time"
)

var begun = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func TestWhatIsDue(t *testing.T) {
	limits := Limits{Idle: 4 * time.Hour, Age: 24 * time.Hour, Warning: 10 * time.Minute}
	for _, one := range []struct {
		idle, age     time.Duration
		park, warning string
	}{
		{0, 0, "", ""},
		{3 * time.Hour, 3 * time.Hour, "", ""},
		{4*time.Hour - 10*time.Minute, 5 * time.Hour, "", "idle and is parked in 10m;"},
		{4*time.Hour - 65*time.Second, 5 * time.Hour, "", "parked in 2m;"},
		{4*time.Hour - time.Second, 5 * time.Hour, "", "parked in 10s;"},
		{4 * time.Hour, 5 * time.Hour, "idle for 4h:", ""},
		{0, 24*time.Hour - 9*time.Minute, "", "parked in 9m, at its age limit"},
		{0, 24 * time.Hour, "at its age limit of 24h", ""},
		{5 * time.Hour, 30 * time.Hour, "idle for 4h:", ""},
		{4*time.Hour - 5*time.Minute, 24*time.Hour - 2*time.Minute, "", "in 2m, at its age limit"},
		{4*time.Hour - 2*time.Minute, 24*time.Hour - 5*time.Minute, "", "idle and is parked in 2m;"},
	} {
		now := begun.Add(one.age)
		park, warning := Judge{limits, begun, now.Add(-one.idle)}.At(now)
		if !strings.HasPrefix(park, one.park) || (park == "") != (one.park == "") {
			t.Errorf("idle %v, age %v: parked for %q, not %q", one.idle, one.age, park, one.park)
		}
		if !strings.Contains(warning, one.warning) || (warning == "") != (one.warning == "") {
			t.Errorf("idle %v, age %v: warned with %q, not %q", one.idle, one.age, warning, one.warning)
		}
	}
}

func TestWithoutLimitsNothingIsEverDue(t *testing.T) {
	park, warning := Judge{Begun: begun, Busy: begun}.At(begun.Add(10000 * time.Hour))
	if park != "" || warning != "" || (Limits{}).Any() {
		t.Error(park, warning)
	}
}

func TestTheWarningOfAShortLimitComesHalfWay(t *testing.T) {
	judge := Judge{Limits{Idle: 10 * time.Second, Warning: time.Hour}, begun, begun}
	if _, warning := judge.At(begun.Add(4 * time.Second)); warning != "" {
		t.Error(warning)
	}
	if _, warning := judge.At(begun.Add(5 * time.Second)); warning == "" {
		t.Error("no warning")
	}
}

func TestLimitsComeFromTheTemplate(t *testing.T) {
	t.Setenv("PAUDE_IDLE_TIMEOUT", "14400s")
	t.Setenv("PAUDE_MAX_AGE", "nonsense")
	limits := FromEnvironment()
	if limits.Idle != 4*time.Hour || limits.Age != 0 || limits.Tick() != longestTick {
		t.Error(limits)
	}
	if tick := (Limits{Age: 2 * time.Second}).Tick(); tick != 200*time.Millisecond {
		t.Error(tick)
	}
}

func TestWords(t *testing.T) {
	for text, d := range map[string]time.Duration{
		"4h": 4 * time.Hour, "1h30m": 90 * time.Minute, "10m": 10 * time.Minute, "20s": 20 * time.Second,
		"1m30s": 90 * time.Second, "10h0m5s": 10*time.Hour + 5*time.Second, "0s": 0,
	} {
		if Words(d) != text {
			t.Errorf("%v is written %q, not %q", d, Words(d), text)
		}
	}
}

func TestLoopbackIsNoTraffic(t *testing.T) {
	table := `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 9000000    1000    0    0    0     0          0         0  9000000    1000    0    0    0     0       0          0
  eth0:    1234      10    0    0    0     0          0         0     4321      12    0    0    0     0       0          0
`
	if got := sum(table); got != 1234+4321 {
		t.Error(got)
	}
}

func TestProcessorTimeOfAProcessAndItsDeadChildren(t *testing.T) {
	// The name may hold anything, brackets and spaces too.
	stat := "42 (a) (b c) S 1 42 42 0 -1 4194560 1 2 3 4 100 20 3 4 20 0 1 0 12345 0 0"
	if got := ofProcess(stat, true); got != 127 {
		t.Error("its own and its children's:", got)
	}
	if got := ofProcess(stat, false); got != 7 {
		t.Error("its children's:", got)
	}
	if got := ofProcess("42 (cut", true); got != 0 {
		t.Error(got)
	}
}

func TestAProcessThatWaitsIsNotAtWork(t *testing.T) {
	var processors Processors
	now := time.Now()
	if !processors.Worked(now) {
		t.Error("the first look")
	}
	// As if an hour had passed: whatever ran meanwhile used far less than a tenth of it.
	if processors.Worked(now.Add(time.Hour)) {
		t.Error("an hour of waiting")
	}
}
