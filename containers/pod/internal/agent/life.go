package agent

import (
	"context"
	"os/exec"
	"strings"
	"time"

	"paude/pod/internal/children"
	"paude/pod/internal/life"
	"paude/pod/internal/mark"
	"paude/pod/internal/paths"
)

// How long a warning stays on the terminal, in milliseconds.
const warningTime = "15000"

// tellLife tells the gate whenever something is at work here, and the terminal what the gate warns of. A tmux that does
// not answer looks like an agent that is idle.
func tellLife(ctx context.Context, table *children.Table, tick time.Duration) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	var processors life.Processors
	output, shown := "", ""
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			worked := processors.Worked(now)
			printed := tmux(table, "list-windows", "-a", "-F", "#{window_activity}")
			if worked || printed != output {
				_ = mark.Put(paths.AgentBusy, "", false)
			}
			output = printed
			shown = warn(table, shown)
		}
	}
}

// warn shows each warning once to everybody who looks.
func warn(table *children.Table, shown string) string {
	warning, _ := mark.Read(paths.Warning)
	if warning == "" || warning == shown {
		return warning
	}
	for _, client := range strings.Fields(tmux(table, "list-clients", "-F", "#{client_name}")) {
		tmux(table, "display-message", "-c", client, "-d", warningTime, warning)
	}
	return warning
}

func tmux(table *children.Table, words ...string) string {
	output, _, err := table.Run(exec.Command("tmux", append([]string{"-S", paths.TmuxSocket}, words...)...))
	if err != nil {
		return ""
	}
	return output
}
