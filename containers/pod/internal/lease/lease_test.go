package lease

import (
	"testing"
	"time"
)

func TestLeaveHoldsForATermAndNoLonger(t *testing.T) {
	looked := Moment(1000 * time.Hour)
	given := text("demo", looked)
	for after, want := range map[time.Duration]bool{
		0:                  true,
		Term - 1:           true,
		Term:               false,
		24 * time.Hour:     false,
		-time.Nanosecond:   false, // from a clock that is not this one's
		-500 * time.Minute: false,
	} {
		if got := holds(given, looked+Moment(after)); got != want {
			t.Errorf("%v after the look: %v", after, got)
		}
	}
}

func TestWhatSaysNoTimeIsNoLeave(t *testing.T) {
	for _, found := range []string{"", "demo", "0 demo", "9223372036854775807 demo", "-1 demo", "1e99 demo"} {
		if holds(found, Moment(time.Hour)) {
			t.Errorf("%q lets the agent run", found)
		}
	}
}

func TestARoundMayBeLateByAThirdOfTheTerm(t *testing.T) {
	if Renewal > Term*2/3 {
		t.Fatal("a gate that is a little slow would park an agent at work")
	}
	if Term > 73*time.Second {
		t.Fatal("an agent without a gate would not have ended within 75 s")
	}
}
