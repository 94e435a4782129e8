package pane

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"

	"paude/pod/internal/mark"
	"paude/pod/internal/paths"
)

// setUp runs what the project wants done in its workspace, once for each form of it, where the user sees it.
func setUp(hangUp <-chan os.Signal) {
	script := filepath.Join(paths.Secrets, "setup.sh")
	text, err := os.ReadFile(script)
	if err != nil {
		return
	}
	digest := sha256.Sum256(text)
	done := filepath.Join(paths.AgentHome, ".local/state/paude", "setup-"+hex.EncodeToString(digest[:8]))
	if mark.Exists(done) {
		return
	}
	fmt.Printf("setting the workspace up\r\n")
	if code := run([]string{"/bin/bash", "-l", script}, hangUp); code != 0 {
		fmt.Printf("\r\nthe set-up ended with %d; it is tried again at the next start\r\n", code)
		return
	}
	if os.MkdirAll(filepath.Dir(done), 0o700) == nil {
		_ = os.WriteFile(done, nil, 0o600)
	}
}
