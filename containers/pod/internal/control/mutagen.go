package control

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"paude/pod/internal/gate"
	"paude/pod/internal/paths"
	"paude/pod/internal/say"
)

// execMutagen becomes the sync agent of the image, whose data lie on the volume beside the workspace: staged files are
// renamed into place, and the agent's container does not see them. Only the laptop that owns the sync gets that far.
func execMutagen() int {
	if code := tell("sync", os.Getenv(gate.LaptopVariable)); code != 0 {
		return code
	}
	if err := os.MkdirAll(paths.MutagenData, 0o770); err != nil {
		say.Line("%v", err)
		return exitFailed
	}
	command := []string{paths.Mutagen, "synchronizer", "--log-level=info"}
	say.Line("%v", unix.Exec(command[0], command, mutagenEnvironment()))
	return exitFailed
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
