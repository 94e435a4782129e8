// Package sshd prepares and runs OpenSSH's server as an ordinary user.
package sshd

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"paude/pod/internal/children"
	"paude/pod/internal/paths"
)

const program = "/usr/sbin/sshd"

// environment is what sshd itself runs with; it makes another one for whoever logs in. With glibc's own thresholds it
// would give its buffers back to the kernel for each packet of a bulk transfer and get them anew, page by page.
func environment() []string {
	return append(os.Environ(), "MALLOC_MMAP_THRESHOLD_=16777216", "MALLOC_TRIM_THRESHOLD_=16777216")
}

// Server is one configured sshd.
type Server struct {
	table  *children.Table
	config string
}

// Prepare makes the configuration that is used: the image's file of that name, the host key and the environment for
// logins. It fails when sshd does not accept it.
func Prepare(table *children.Table, name string, environment []string) (*Server, error) {
	key, err := privateCopy(filepath.Join(paths.Keys, "ssh_host_ed25519_key"))
	if err != nil {
		return nil, fmt.Errorf("the host key: %w", err)
	}
	fixed, err := os.ReadFile(filepath.Join(paths.SshdConfig, name))
	if err != nil {
		return nil, err
	}
	server := &Server{table, filepath.Join(paths.Private, "sshd.conf")}
	text := "HostKey " + key + "\n" + setEnv(environment) + string(fixed)

	// One source address serves everybody here, so penalties per source would lock the developer out. OpenSSH has
	// them since 9.8 and refuses the word before.
	if server.write(text+"PerSourcePenalties no\n") == nil {
		return server, nil
	}
	return server, server.write(text)
}

// A Secret's file may belong to this user and be readable by its group, which sshd refuses for a private key.
func privateCopy(path string) (string, error) {
	key, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	copied := filepath.Join(paths.Private, filepath.Base(path))
	_ = os.Remove(copied)
	return copied, os.WriteFile(copied, key, 0o600)
}

func (s *Server) write(text string) error {
	if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
		return err
	}
	output, status, err := s.table.Run(exec.Command(program, "-t", "-f", s.config))
	if err != nil {
		return err
	}
	if status.ExitStatus() != 0 {
		return fmt.Errorf("sshd refuses its configuration: %s", strings.TrimSpace(output))
	}
	return nil
}

// sshd takes the first SetEnv line only, with all names on it.
func setEnv(environment []string) string {
	words := make([]string, 0, len(environment))
	for _, one := range environment {
		if strings.ContainsAny(one, "\"\\\n\r\x00") {
			continue // has no spelling in sshd's file
		}
		words = append(words, `"`+one+`"`)
	}
	if len(words) == 0 {
		return ""
	}
	return "SetEnv " + strings.Join(words, " ") + "\n"
}
