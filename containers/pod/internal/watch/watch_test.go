package watch

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func watched(t *testing.T, root string, skip skip) <-chan struct{} {
	t.Helper()
	tree, err := newTree(root, skip)
	if err != nil {
		t.Fatal(err)
	}
	events := make(chan struct{}, 1)
	go tree.follow(events)
	return events
}

func write(t *testing.T, parts ...string) {
	t.Helper()
	path := filepath.Join(parts...)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
}

// Two files each: what is to be silent comes first, and only the second may be heard.
func TestWhatIsSkippedIsNotHeard(t *testing.T) {
	for _, one := range []struct {
		silent, heard string
		skip          func(root string) skip
	}{
		{".git/index", ".git/HEAD", notRefs},
		{".git/refs/heads/main.lock", ".git/refs/heads/topic/main", notRefs},
		{"src/refs/x", ".git/packed-refs", notRefs},
	} {
		root := t.TempDir()
		for _, directory := range []string{".git/refs/heads/topic", "src/refs"} {
			if err := os.MkdirAll(filepath.Join(root, directory), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		events := watched(t, root, one.skip(root))
		write(t, root, one.silent)
		select {
		case <-events:
			t.Errorf("%s was heard", one.silent)
		case <-time.After(50 * time.Millisecond):
		}
		write(t, root, one.heard)
		select {
		case <-events:
		case <-time.After(5 * time.Second):
			t.Errorf("%s was not heard", one.heard)
		}
	}
}

func TestARepositoryThatComesLaterIsHeard(t *testing.T) {
	root := t.TempDir()
	events := watched(t, root, notRefs(root))
	write(t, root, ".git/refs/heads/main")
	<-events
	for len(events) > 0 {
		<-events
	}
	time.Sleep(20 * time.Millisecond) // the batch of events of what was made above
	for len(events) > 0 {
		<-events
	}
	write(t, root, ".git/refs/heads/other")
	select {
	case <-events:
	case <-time.After(5 * time.Second):
		t.Error("a branch was not heard")
	}
}
