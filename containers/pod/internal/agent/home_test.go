package agent

import (
	"os"
	"path/filepath"
	"testing"
)

func TestTheHomeIsFurnishedOnceAndNeverThroughALink(t *testing.T) {
	secrets, home, outside := t.TempDir(), t.TempDir(), t.TempDir()
	write := func(name, text string) { _ = os.WriteFile(filepath.Join(secrets, name), []byte(text), 0o644) }
	write("home.new", "ours")
	write("home.kept", "ours")
	write("home.link", "ours")
	write("env.KEY", "not a file")
	_ = os.WriteFile(filepath.Join(home, "kept"), []byte("theirs"), 0o600)
	_ = os.Symlink(filepath.Join(outside, "target"), filepath.Join(home, "link"))
	furnishHome(secrets, home)
	for name, wanted := range map[string]string{"new": "ours", "kept": "theirs"} {
		if got, _ := os.ReadFile(filepath.Join(home, name)); string(got) != wanted {
			t.Errorf("%s: %q", name, got)
		}
	}
	if left, _ := os.ReadDir(outside); len(left) > 0 {
		t.Error("written through a link")
	}
	if found, _ := os.ReadDir(home); len(found) != 3 {
		t.Errorf("%d entries", len(found))
	}
}
