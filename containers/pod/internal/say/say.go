// Package say tells people and Kubernetes what happened.
package say

import (
	"fmt"
	"os"
	"strings"
)

// TerminationLog is where the kubelet picks up the last words of a container.
const TerminationLog = "/dev/termination-log"

// The kubelet reads no more than this.
const terminationLimit = 4096

// Line writes one line to stderr.
func Line(format string, arguments ...any) {
	text := fmt.Sprintf(format, arguments...)
	fmt.Fprintf(os.Stderr, "paude-pod: %s\n", strings.ReplaceAll(text, "\n", " | "))
}

// LastWords writes text where the kubelet picks it up; without such a file it does nothing.
func LastWords(text string) {
	if len(text) > terminationLimit {
		text = text[:terminationLimit]
	}
	file, err := os.OpenFile(TerminationLog, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return
	}
	defer file.Close()
	_, _ = file.WriteString(text)
}

// Fatal says why the container cannot run, to people and to the kubelet, and returns the exit code for it.
func Fatal(format string, arguments ...any) int {
	text := fmt.Sprintf(format, arguments...)
	Line("%s", text)
	LastWords(text)
	return 1
}
