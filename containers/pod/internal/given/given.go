// Package given reads what a session was given to work with: the files of its Secret, and what was renewed since.
package given

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"paude/pod/internal/mark"
	"paude/pod/internal/paths"
)

// SystemAuthorities is where Debian keeps the certificates that everybody trusts.
const SystemAuthorities = "/etc/ssl/certs/ca-certificates.crt"

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

// Trust gives the variables by which programs find the user's own authorities, beside those that everybody trusts;
// nothing when there are none.
func Trust(system, secrets, bundle string) ([]string, error) {
	own := filepath.Join(secrets, paths.Authorities)
	more, err := os.ReadFile(own)
	if err != nil {
		return nil, nil
	}
	all, _ := os.ReadFile(system)
	if err = mark.Put(bundle, string(all)+"\n"+string(more), false); err != nil {
		return nil, err
	}
	trust := []string{"NODE_EXTRA_CA_CERTS=" + own}
	for _, name := range []string{"SSL_CERT_FILE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "REQUESTS_CA_BUNDLE"} {
		trust = append(trust, name+"="+bundle)
	}
	return trust, nil
}
