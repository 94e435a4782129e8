package children

import (
	"os/exec"
	"strconv"
	"testing"
)

var table = New() // there is one per process

func TestMoreOutputThanIsKeptDoesNotHoldTheCommand(t *testing.T) {
	output, status, err := table.Run(exec.Command("head", "-c", strconv.Itoa(longestOutput+(1<<20)), "/dev/zero"))
	if err != nil || status.ExitStatus() != 0 || len(output) != longestOutput {
		t.Fatalf("%d bytes, %v, %v", len(output), status, err)
	}
}

func TestAListOfManyRefsIsWhole(t *testing.T) {
	output, _, err := table.Run(exec.Command("seq", "400000"))
	if err != nil || len(output) < 2<<20 || output[len(output)-7:] != "400000\n" {
		t.Fatalf("%d bytes, %v", len(output), err)
	}
}
