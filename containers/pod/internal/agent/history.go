package agent

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"paude/pod/internal/children"
	"paude/pod/internal/mark"
	"paude/pod/internal/paths"
)

const (
	repository = paths.AgentWorkspace + "/.git"
	// In the repository while it is not whole: anywhere else in the workspace the sync would carry it away.
	unfinished = repository + "/paude-unpacking"
	// shallowRefs begins the names under which the packer tells where a shallow history ends.
	shallowRefs = "refs/paude/shallow/"
)

var commitID = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// unpackHistory makes the workspace a git repository with the laptop's history, unless it is one. Files are not
// touched: the sync has brought them, and what differs from HEAD is work in progress.
func unpackHistory(table *children.Table, environment []string) error {
	if !mark.Exists(paths.AgentBundle) || (mark.Exists(repository) && !mark.Exists(unfinished)) {
		return nil
	}
	if err := os.RemoveAll(repository); err != nil {
		return err
	}
	if err := os.Mkdir(repository, 0o775); err != nil {
		return err
	}
	if err := os.WriteFile(unfinished, nil, 0o664); err != nil {
		return err
	}
	if err := (gitRunner{table, environment}).unpack(); err != nil {
		return errors.Join(err, os.RemoveAll(repository))
	}
	return os.Remove(unfinished)
}

type gitRunner struct {
	table       *children.Table
	environment []string
}

func (g gitRunner) unpack() error {
	heads, err := g.git("bundle", "list-heads", paths.AgentBundle)
	if err != nil {
		return err
	}
	if _, err = g.git("init", "-q"); err != nil {
		return err
	}
	if err = endShallow(heads); err != nil {
		return err
	}
	if _, err = g.git("-c", "gc.auto=0", "-c", "maintenance.auto=false", "fetch", "-q", "--update-head-ok", "--no-tags",
		"--no-write-fetch-head", paths.AgentBundle, "refs/heads/*:refs/heads/*", "refs/tags/*:refs/tags/*"); err != nil {
		return err
	}
	commit, branch := headOf(heads)
	if commit == "" {
		return nil
	}
	return g.checkOut(commit, branch)
}

// endShallow notes where a shallow history ends, before git misses what is beyond. A bundle cannot say it, so the packer
// names those commits as refs.
func endShallow(heads string) error {
	ends := shallowEnds(heads)
	if len(ends) == 0 {
		return nil
	}
	return os.WriteFile(filepath.Join(repository, "shallow"), []byte(strings.Join(ends, "\n")+"\n"), 0o664)
}

func shallowEnds(heads string) []string {
	var ends []string
	for _, line := range strings.Split(heads, "\n") {
		if id, name, _ := strings.Cut(line, " "); strings.HasPrefix(name, shallowRefs) && commitID.MatchString(id) {
			ends = append(ends, id)
		}
	}
	return ends
}

func (g gitRunner) checkOut(commit, branch string) error {
	var err error
	if branch != "" {
		_, err = g.git("symbolic-ref", "HEAD", branch)
	} else if _, err = g.git("fetch", "-q", "--no-tags", paths.AgentBundle, "HEAD"); err == nil {
		_, err = g.git("update-ref", "--no-deref", "HEAD", commit)
	}
	if err != nil {
		return err
	}
	_, err = g.git("read-tree", "HEAD")
	return err
}

// headOf reads `git bundle list-heads`: a bundle names HEAD's commit but not its branch. The first branch at that
// commit is taken, so the packer names the current one first; none means a detached HEAD.
func headOf(heads string) (commit, branch string) {
	lines := strings.Split(strings.TrimSpace(heads), "\n")
	for _, line := range lines {
		if id, name, _ := strings.Cut(line, " "); name == "HEAD" {
			commit = id
		}
	}
	for _, line := range lines {
		id, name, _ := strings.Cut(line, " ")
		if strings.HasPrefix(name, "refs/heads/") && (id == commit || commit == "") {
			return id, name
		}
	}
	return commit, ""
}

func (g gitRunner) git(arguments ...string) (string, error) {
	command := exec.Command("git", arguments...)
	command.Dir = paths.AgentWorkspace
	command.Env = append(g.environment, "GIT_TERMINAL_PROMPT=0", "GIT_DIR="+filepath.Join(repository))
	output, status, err := g.table.Run(command)
	if err == nil && status.ExitStatus() != 0 {
		err = fmt.Errorf("git %s: %s", arguments[0], strings.TrimSpace(output))
	}
	return output, err
}
