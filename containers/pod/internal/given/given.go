// Package given reads what a session was given to work with: the files of its Secret, and what was renewed since.
package given

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"paude/pod/internal/paths"
)

var variable = regexp.MustCompile(`^env\.([A-Za-z_][A-Za-z0-9_]*)$`)

// Environment is the keys `env.NAME`, for the coding agent only: keys of a Secret cannot lie in directories. Of two with
// the same name the later counts, as in the environment of a process.
func Environment() []string {
	return append(environment(paths.Secrets), environment(paths.Renewed)...)
}

func environment(directory string) []string {
	entries, err := os.ReadDir(directory)
	if err != nil {
		return nil
	}
	var found []string
	for _, entry := range entries {
		match := variable.FindStringSubmatch(entry.Name())
		if match == nil {
			continue
		}
		if value, err := os.ReadFile(filepath.Join(directory, entry.Name())); err == nil {
			found = append(found, match[1]+"="+strings.TrimRight(string(value), "\r\n"))
		}
	}
	return found
}
