package control

import (
	"fmt"
	"os"

	"paude/pod/internal/look"
	"paude/pod/internal/paths"
	"paude/pod/internal/say"
)

// looking are the commands that read the workspace for the laptop, or move one path of it aside.
var looking = map[string]func(arguments []string) error{
	"list-tree": func(words []string) error { return tree(words, false) },
	"hash-tree": func(words []string) error { return tree(words, true) },
	"read":      read,
	"set-aside": setAside,
	"rename":    rename,
}

func lookAt(name string, arguments []string) int {
	if err := looking[name](arguments); err != nil {
		say.Line("%s: %v", name, err)
		return exitFailed
	}
	return 0
}

func tree(words []string, hash bool) error {
	if len(words) == 0 {
		return look.Tree(os.Stdout, paths.Workspace, "", hash)
	}
	path, err := look.Path(words[0])
	if err != nil {
		return err
	}
	return look.Tree(os.Stdout, paths.Workspace, path, hash)
}

func read(words []string) error {
	path, err := one(words, 1)
	if err != nil {
		return err
	}
	return look.Read(os.Stdout, paths.Workspace, path)
}

// setAside keeps on the volume what lost a conflict; the agent's container does not see it.
func setAside(words []string) error {
	path, err := one(words, 1)
	if err != nil {
		return err
	}
	place, err := look.Aside(paths.Workspace, path, paths.Aside)
	if err != nil {
		return err
	}
	_, err = fmt.Println(place)
	return err
}

func rename(words []string) error {
	path, err := one(words, 2)
	if err != nil {
		return err
	}
	name, err := look.Path(words[1])
	if err != nil {
		return err
	}
	return look.Beside(paths.Workspace, path, name)
}

func one(words []string, count int) (string, error) {
	if len(words) != count {
		return "", os.ErrInvalid
	}
	return look.Path(words[0])
}
