package agent

import (
	"archive/tar"
	"compress/gzip"
	"os"
	"path/filepath"
	"testing"
)

func packed(t *testing.T, entries ...tar.Header) string {
	t.Helper()
	directory := t.TempDir()
	file, err := os.Create(filepath.Join(directory, treeName))
	if err != nil {
		t.Fatal(err)
	}
	zipped := gzip.NewWriter(file)
	tree := tar.NewWriter(zipped)
	for _, entry := range entries {
		text := "content of " + entry.Name
		entry.Mode = 0o644
		if entry.Typeflag == tar.TypeReg {
			entry.Size = int64(len(text))
		}
		if err = tree.WriteHeader(&entry); err != nil {
			t.Fatal(err)
		}
		if entry.Typeflag == tar.TypeReg {
			_, _ = tree.Write([]byte(text))
		}
	}
	_, _, _ = tree.Close(), zipped.Close(), file.Close()
	return directory
}

func TestTheUsersFilesComeOnceAndStayWhatTheAgentMadeOfThem(t *testing.T) {
	home := t.TempDir()
	secrets := packed(t, tar.Header{Typeflag: tar.TypeReg, Name: ".claude/CLAUDE.md"}, tar.Header{Typeflag: tar.TypeReg, Name: ".claude/skills/a/SKILL.md"})
	for range 2 {
		if err := furnishTree(secrets, home); err != nil {
			t.Fatal(err)
		}
		got, _ := os.ReadFile(filepath.Join(home, ".claude/skills/a/SKILL.md"))
		if string(got) != "content of .claude/skills/a/SKILL.md" {
			t.Fatalf("%q", got)
		}
	}
	own := filepath.Join(home, ".claude/CLAUDE.md")
	_ = os.WriteFile(own, []byte("the agent's"), 0o600)
	if err := furnishTree(secrets, home); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(own); string(got) != "the agent's" {
		t.Fatalf("overwritten with %q", got)
	}
}

func TestNothingLeavesTheHomeDirectory(t *testing.T) {
	outer := t.TempDir()
	home := filepath.Join(outer, "home")
	_ = os.Mkdir(home, 0o700)
	_ = os.Symlink(outer, filepath.Join(home, "away"))
	secrets := packed(t,
		tar.Header{Typeflag: tar.TypeReg, Name: "../escaped"}, tar.Header{Typeflag: tar.TypeReg, Name: "away/escaped"},
		tar.Header{Typeflag: tar.TypeSymlink, Name: "link", Linkname: "/etc"}, tar.Header{Typeflag: tar.TypeReg, Name: "good"})
	if err := furnishTree(secrets, home); err == nil {
		t.Fatal("nothing was said of it")
	}
	for _, name := range []string{"escaped", "home/link"} {
		if _, err := os.Lstat(filepath.Join(outer, name)); err == nil {
			t.Fatalf("%s is there", name)
		}
	}
	if _, err := os.Stat(filepath.Join(home, "good")); err != nil {
		t.Fatal("what is good was left out too")
	}
}
