package gate

import (
	"os/exec"
	"testing"
	"time"
)

const here, there = "0123456789abcdef@here", "fedcba9876543210@there"

func syncing(t *testing.T, laptop string) <-chan error {
	t.Helper()
	// A process below a child of this one, as sshd's are.
	command := exec.Command("sh", "-c", "sleep 60 & wait")
	command.Env = append(command.Environ(), LaptopVariable+"="+laptop)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = endOthers("") })
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	return ended
}

func TestWhatSyncsForAnotherLaptopEndsAndOnesOwnGoesOn(t *testing.T) {
	mine, other := syncing(t, here), syncing(t, there)
	if err := endOthers("0123456789abcdef"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-other:
	case <-time.After(5 * time.Second):
		t.Fatal("the other laptop's process goes on")
	}
	if left := othersOf("fedcba9876543210"); len(left) != 2 {
		t.Fatalf("of the own two processes there are %d", len(left))
	}
	select {
	case err := <-mine:
		t.Fatalf("the own process ended: %v", err)
	default:
	}
}

func TestALaptopIsNamedByItsIdAndItsHost(t *testing.T) {
	found, named := parseLaptop(here)
	if !named || found.Laptop != "0123456789abcdef" || found.Host != "here" {
		t.Fatal(found)
	}
	for _, wrong := range []string{"", "here", "0123456789abcdef", "0123456789abcdef@", "0123456789abcdeg@here",
		"0123456789abcdef@two words", "0123456789abcdef@here\n"} {
		if _, named := parseLaptop(wrong); named {
			t.Errorf("%q", wrong)
		}
	}
}

func TestOneLaptopAtATimeMaySync(t *testing.T) {
	owned, _ := parseLaptop(here)
	state := &State{owner: &owned}
	for laptop, code := range map[string]int{here: done, "0123456789abcdef@renamed": done, there: refused, "": refused} {
		if reply := state.maySync(laptop); reply.Code != code {
			t.Errorf("%q: %+v", laptop, reply)
		}
	}
	if reply := (&State{}).maySync(""); reply.Code != done {
		t.Errorf("an unnamed one where nobody owns it: %+v", reply)
	}
}
