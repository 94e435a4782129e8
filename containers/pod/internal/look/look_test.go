package look

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func hostile(t *testing.T) string {
	t.Helper()
	above := t.TempDir()
	root := filepath.Join(above, "root")
	for _, err := range []error{
		os.MkdirAll(filepath.Join(root, "d/.git/hooks"), 0o755),
		os.WriteFile(filepath.Join(above, "secret"), []byte("secret"), 0o600),
		os.WriteFile(filepath.Join(root, "d/f x"), []byte("content"), 0o755),
		os.WriteFile(filepath.Join(root, "d/.git/hooks/x"), []byte("hook"), 0o755),
		os.WriteFile(filepath.Join(root, "new\nline"), nil, 0o644),
		os.Symlink("../secret", filepath.Join(root, "link")),
		os.Symlink("..", filepath.Join(root, "up")),
		unix.Mkfifo(filepath.Join(root, "pipe"), 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestATreeIsListedWithoutFollowingOrWaiting(t *testing.T) {
	var out bytes.Buffer
	if err := Tree(&out, hostile(t), "", true); err != nil {
		t.Fatal(err)
	}
	var seen []string
	for _, line := range strings.Split(strings.TrimSpace(out.String()), "\n") {
		var entry Entry
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatal(err)
		}
		seen = append(seen, entry.Kind+" "+entry.Path+" "+entry.Target+entry.Hash[:min(4, len(entry.Hash))])
	}
	want := "directory d |file d/f%20x ed70|link link ..%2Fsecret|file new%0Aline e3b0|other pipe |link up .."
	if got := strings.Join(seen, "|"); got != want {
		t.Errorf("%s", got)
	}
}

func TestNothingOutsideIsReadNorMoved(t *testing.T) {
	root := hostile(t)
	for _, word := range []string{"", ".", "..", "../secret", "%2e%2e/secret", "/etc/passwd", "d/../../secret", "d//f", "a%00"} {
		if path, err := Path(word); err == nil {
			t.Errorf("%q was taken as %q", word, path)
		}
	}
	var out bytes.Buffer
	for _, path := range []string{"up/secret", "up/root/d/f x"} {
		if err := Read(&out, root, path); err == nil {
			t.Errorf("%s was read", path)
		}
		if _, err := Aside(root, path, t.TempDir()); err == nil {
			t.Errorf("%s was moved", path)
		}
	}
	for _, path := range []string{"link", "pipe", "d"} {
		if err := Read(&out, root, path); err != nil {
			t.Error(path, err)
		}
	}
	if strings.Contains(out.String(), `"h"`) || strings.Contains(out.String(), "\nsecret") {
		t.Error(out.String())
	}
	if Beside(root, "d/f x", "../g") == nil || Beside(root, "d/f x", "..") == nil {
		t.Error("a name led out")
	}
}

func TestAFileIsReadWithItsFactsUpToALimit(t *testing.T) {
	root := hostile(t)
	var out bytes.Buffer
	if err := Read(&out, root, "d/f x"); err != nil || out.String() != `{"p":"d/f%20x","k":"file","x":true,"s":7}`+"\ncontent" {
		t.Errorf("%q %v", out.String(), err)
	}
	if err := os.Truncate(filepath.Join(root, "d/f x"), LargestRead+1); err != nil {
		t.Fatal(err)
	}
	out.Reset()
	if err := Read(&out, root, "d/f x"); err != nil || !strings.Contains(out.String(), "too large") || out.Len() > 200 {
		t.Errorf("%d bytes, %v", out.Len(), err)
	}
	out.Reset()
	if err := Read(&out, root, "gone/x"); err != nil || !strings.Contains(out.String(), "absent") {
		t.Errorf("%q %v", out.String(), err)
	}
}

func TestWhatIsMovedIsKeptAndNothingIsOverwritten(t *testing.T) {
	root, kept := hostile(t), filepath.Join(t.TempDir(), "aside")
	place, err := Aside(root, "d/f x", kept)
	content, _ := os.ReadFile(place)
	if err != nil || string(content) != "content" {
		t.Fatalf("%q %v", content, err)
	}
	if err = Beside(root, "new\nline", "link"); err == nil {
		t.Error("something was overwritten")
	}
	if err = Beside(root, "new\nline", "other"); err != nil {
		t.Error(err)
	}
}
