package gate

import (
	"bufio"
	"io"
	"os/exec"
	"testing"
	"time"
)

const here, there = "0123456789abcdef@here", "fedcba9876543210@there"

// syncer is a process below a child of this one, as sshd's are.
type syncer struct {
	ended  chan error
	input  io.Writer
	output *bufio.Reader
}

func syncing(t *testing.T, laptop string) syncer {
	t.Helper()
	command := exec.Command("sh", "-c", "exec 3<&0; cat <&3 & wait")
	command.Env = append(command.Environ(), LaptopVariable+"="+laptop)
	input, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err = command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = endOthers("") })
	made := syncer{make(chan error, 1), input, bufio.NewReader(output)}
	made.answers(t) // before that it need not have been started yet
	go func() { made.ended <- command.Wait() }()
	return made
}

// answers fails the test when the process is not there.
func (s syncer) answers(t *testing.T) {
	t.Helper()
	if _, err := io.WriteString(s.input, "there?\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.output.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
}

func TestWhatSyncsForAnotherLaptopEndsAndOnesOwnGoesOn(t *testing.T) {
	mine, other := syncing(t, here), syncing(t, there)
	if err := endOthers("0123456789abcdef"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-other.ended:
	case <-time.After(5 * time.Second):
		t.Fatal("the other laptop's process goes on")
	}
	if left := othersOf("fedcba9876543210"); len(left) != 2 {
		t.Fatalf("of the own two processes there are %d", len(left))
	}
	mine.answers(t)
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
