package agent

import (
	"strings"

	"paude/pod/internal/passwd"
	"paude/pod/internal/paths"
)

// What children get when the pod's template does not say otherwise.
var defaults = [][2]string{
	{"PATH", "/usr/local/bin:/usr/bin:/bin"},
	{"HOME", paths.AgentHome},
	{"SHELL", shell},
	{"USER", passwd.User},
	{"LOGNAME", passwd.User},
	{"LANG", "C.UTF-8"},
	{"TERM", "xterm-256color"},
	{"TMPDIR", paths.AgentTemporary},
}

// sshd sets these itself.
var ownOfLogins = map[string]bool{
	"HOME": true, "SHELL": true, "USER": true, "LOGNAME": true, "TERM": true, "PWD": true, "SHLVL": true, "_": true,
}

// environment is this container's, without what concerns paude and the cluster only.
func environment(outer []string) []string {
	kept, names := []string{}, map[string]bool{}
	for _, one := range outer {
		name, _, _ := strings.Cut(one, "=")
		if !internal(name) {
			kept, names[name] = append(kept, one), true
		}
	}
	for _, pair := range defaults {
		if !names[pair[0]] {
			kept = append(kept, pair[0]+"="+pair[1])
		}
	}
	return kept
}

func internal(name string) bool {
	ours := strings.HasPrefix(name, "PAUDE_") && name != "PAUDE_SESSION" && name != "PAUDE_SECRETS"
	return ours || strings.HasPrefix(name, "KUBERNETES_")
}

func forLogins(environment []string) []string {
	var kept []string
	for _, one := range environment {
		name, _, _ := strings.Cut(one, "=")
		if !ownOfLogins[name] {
			kept = append(kept, one)
		}
	}
	return kept
}
