package agent

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"paude/pod/internal/mark"
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
func environment(given []string) []string {
	kept, names := []string{}, map[string]bool{}
	for _, one := range given {
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
	if adc := filepath.Join(paths.Secrets, "adc.json"); mark.Exists(adc) {
		kept = append(kept, "GOOGLE_APPLICATION_CREDENTIALS="+adc)
	}
	return kept
}

func internal(name string) bool {
	ours := strings.HasPrefix(name, "PAUDE_") && name != "PAUDE_SESSION"
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

var variable = regexp.MustCompile(`^env\.([A-Za-z_][A-Za-z0-9_]*)$`)

// credentials are the Secret's keys `env.NAME`, for the coding agent only: keys of a Secret cannot lie in directories.
func credentials() []string {
	entries, err := os.ReadDir(paths.Secrets)
	if err != nil {
		return nil
	}
	var found []string
	for _, entry := range entries {
		match := variable.FindStringSubmatch(entry.Name())
		if match == nil {
			continue
		}
		if value, err := os.ReadFile(filepath.Join(paths.Secrets, entry.Name())); err == nil {
			found = append(found, match[1]+"="+strings.TrimRight(string(value), "\r\n"))
		}
	}
	return found
}
