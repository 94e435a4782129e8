// Package paths names the places that paude's containers share.
package paths

import "os"

const (
	Program = "/opt/paude/bin/paude-pod"
	Mutagen = "/opt/paude/bin/mutagen-agent"

	Volume         = "/vol"
	Workspace      = Volume + "/workspace"
	Home           = Volume + "/home"
	Busy           = Home + "/.paude-busy"
	Inbox          = Volume + "/inbox"
	Bundle         = Inbox + "/history.bundle"
	GateData       = Volume + "/gate"
	Sentinel       = GateData + "/session"
	Seeded         = GateData + "/seeded"
	Seeding        = GateData + "/seeding"
	Unpacked       = GateData + "/unpacked"
	Released       = GateData + "/released"
	ImageReadyMark = GateData + "/image-ready"
	SyncOwner      = GateData + "/sync-owner"
	MutagenData    = GateData + "/mutagen"
	Aside          = GateData + "/aside"
	// Doors holds the sockets by which this machine's user comes in on Podman.
	Doors = GateData + "/doors"

	// Run is written by the gate and read by fence and agent. No socket may lie here: one can be connected to
	// through a read-only mount.
	Run        = "/run/gate"
	Leave      = Run + "/leave"
	ImageReady = Run + "/image-ready"
	FenceFile  = Run + "/fence.json"
	Parked     = Run + "/parked"
	Warning    = Run + "/warning"

	// Private is each container's own.
	Private    = "/run/paude"
	GateSocket = Private + "/gate.sock"
	TmuxSocket = Private + "/tmux.sock"
	AgentEnded = Private + "/agent-ended"
	// Renewed holds credentials that came after the container was made.
	Renewed = Private + "/renewed"

	AgentWorkspace = "/workspace"
	AgentHome      = "/home/paude"
	AgentBusy      = AgentHome + "/.paude-busy"
	AgentBundle    = "/run/inbox/history.bundle"
	AgentTemporary = "/tmp/paude"

	Keys       = "/etc/paude/ssh"
	SshdConfig = "/etc/paude/sshd"
	TmuxConfig = "/etc/paude/tmux.conf"
	ExtraUsers = "/var/lib/extrausers"

	GatePort  = "2222"
	AgentPort = "2223"
	// MetadataPort is where the gate gives the agent access tokens.
	MetadataPort = "2224"
	ProxyPort    = "3128"
)

// Secrets is where the files lie that the agent works with. Podman has a place of its own for those, and mounts it as a
// whole.
var Secrets = given("PAUDE_SECRETS", "/run/secrets/paude")

// Authorities is the file in Secrets with the certificates of the company's authorities.
const Authorities = "ca-bundle.crt"

// Login is the file of application-default credentials, in the gate's Secrets and in what was renewed there.
const Login = "adc.json"

func given(variable, otherwise string) string {
	if value := os.Getenv(variable); value != "" {
		return value
	}
	return otherwise
}
