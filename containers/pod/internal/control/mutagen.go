package control

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"paude/pod/internal/gate"
	"paude/pod/internal/paths"
	"paude/pod/internal/say"
)

// execMutagen becomes the sync agent of the image, whose data lie on the volume beside the workspace: staged files are
// renamed into place, and the agent's container does not see them. Only the laptop that owns the sync gets that far.
// While the first content is under way the agent is given what to wait for: whoever connects meanwhile has done so then.
func execMutagen() int {
	reply, code := exchange("sync", os.Getenv(gate.LaptopVariable))
	if code != 0 {
		return code
	}
	environment := mutagenEnvironment()
	if !reply.Status.Filled {
		answer, err := askAndLeave(gate.AwaitFilled)
		if err != nil {
			say.Line("the gate does not answer: %v", err)
			return exitFailed
		}
		environment = append(environment, fmt.Sprintf("PAUDE_FILLED=%d", answer), "PAUDE_UNPACKED="+paths.Unpacked)
	}
	if err := os.MkdirAll(paths.MutagenData, 0o770); err != nil {
		say.Line("%v", err)
		return exitFailed
	}
	command := []string{paths.Mutagen, "synchronizer", "--log-level=info"}
	say.Line("%v", unix.Exec(command[0], command, environment))
	return exitFailed
}

// askAndLeave brings a verb to the gate's own process, and gives a descriptor of which the reply can be read, by the
// program that this one becomes too.
func askAndLeave(verb string) (int, error) {
	connection, err := net.Dial("unix", paths.GateSocket)
	if err != nil {
		return 0, err
	}
	if err = json.NewEncoder(connection).Encode(gate.Request{Verb: verb}); err != nil {
		return 0, err
	}
	file, err := connection.(*net.UnixConn).File()
	if err != nil {
		return 0, err
	}
	return unix.FcntlInt(file.Fd(), unix.F_DUPFD, 3)
}

func mutagenEnvironment() []string {
	environment := []string{"MUTAGEN_DATA_DIRECTORY=" + paths.MutagenData}
	for _, one := range os.Environ() {
		name, _, _ := strings.Cut(one, "=")
		if name == "HOME" || name == "PATH" || name == "USER" || name == gate.LaptopVariable {
			environment = append(environment, one)
		}
	}
	return environment
}
