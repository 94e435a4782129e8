package look

import (
	"encoding/json"
	"errors"
	"io"
	"net/url"

	"golang.org/x/sys/unix"
)

// LargestRead is how much of a file is shown.
const LargestRead = 8 << 20

// Read prints one line about what lies at path below root, and the content when it is a file that is not too large. For
// what is not there the kind is `absent`.
func Read(out io.Writer, root, path string) error {
	directory, name, err := Parent(root, path)
	if errors.Is(err, unix.ENOENT) {
		return json.NewEncoder(out).Encode(Entry{Path: escaped(path), Kind: "absent"})
	}
	if err != nil {
		return err
	}
	defer unix.Close(directory)
	entry := Entry{Path: escaped(path), Kind: kind(directory, name)}
	if entry.Kind == "link" {
		entry.Target = url.PathEscape(target(directory, name))
	}
	if entry.Kind != "file" {
		return json.NewEncoder(out).Encode(entry)
	}
	return readFile(out, directory, name, entry)
}

func kind(directory int, name string) string {
	var facts unix.Stat_t
	if unix.Fstatat(directory, name, &facts, unix.AT_SYMLINK_NOFOLLOW) != nil {
		return "absent"
	}
	switch facts.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return "directory"
	case unix.S_IFLNK:
		return "link"
	case unix.S_IFREG:
		return "file"
	}
	return "other"
}

func readFile(out io.Writer, directory int, name string, entry Entry) error {
	file, facts, err := openFile(directory, name)
	if err != nil {
		return err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, LargestRead+1))
	if err != nil {
		return err
	}
	entry.Executable, entry.Size = facts.Mode&0o111 != 0, int64(len(content))
	if len(content) > LargestRead {
		entry.Size, entry.Error, content = facts.Size, "it is too large to be shown", nil
	}
	if err = json.NewEncoder(out).Encode(entry); err == nil {
		_, err = out.Write(content)
	}
	return err
}
