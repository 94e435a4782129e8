// paude-pod is everything of paude that runs inside a session's containers: one static program, one word per role.
package main

import (
	"os"

	"paude/pod/internal/agent"
	"paude/pod/internal/control"
	"paude/pod/internal/fence"
	"paude/pod/internal/gate"
	"paude/pod/internal/lease"
	"paude/pod/internal/pane"
	"paude/pod/internal/proxy"
	"paude/pod/internal/relay"
	"paude/pod/internal/say"
	"paude/pod/internal/watch"
)

var roles = map[string]func(arguments []string) int{
	"gate":    gate.Main,
	"fence":   fence.Main,
	"agent":   agent.Main,
	"pane":    pane.Main,
	"control": control.Main,
	"proxy":   proxy.Main,
	"relay":   relay.Main,
	// The agent's probes: whether it may run.
	"has-leave": lease.Main,
	// Run by the laptop over the agent's sshd.
	"watch-refs": watch.Refs,
	"verify":     fence.Verify,
	// The gate's passwd entry names this program as the login shell, so that sshd's `SHELL -c COMMAND` needs no shell
	// and the gate has none to offer. What was asked for is in SSH_ORIGINAL_COMMAND.
	"-c": control.Main,
}

func main() {
	if len(os.Args) < 2 || roles[os.Args[1]] == nil {
		say.Line("usage: paude-pod gate|fence|agent|control|proxy")
		os.Exit(2)
	}
	os.Exit(roles[os.Args[1]](os.Args[2:]))
}
