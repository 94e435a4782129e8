package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/mutagen-io/mutagen/pkg/logging"
	"github.com/mutagen-io/mutagen/pkg/synchronization"
	"github.com/mutagen-io/mutagen/pkg/synchronization/core"
	"github.com/mutagen-io/mutagen/pkg/synchronization/endpoint/local"
	"github.com/mutagen-io/mutagen/pkg/synchronization/endpoint/remote"
)

// noted gives the record of a file with a digest that its content does not have.
func noted(t *testing.T, root, name string) string {
	t.Helper()
	info, err := os.Stat(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	facts := info.Sys().(*syscall.Stat_t)
	return fmt.Sprintf("%d %d %d %d %040x %s\x00", facts.Ino, facts.Mode, info.ModTime().UnixNano(), info.Size(), 1, name)
}

func scanned(t *testing.T, list string, change func(root string)) map[string]*core.Entry {
	t.Helper()
	root := t.TempDir()
	t.Setenv("MUTAGEN_DATA_DIRECTORY", t.TempDir())
	for _, name := range []string{"kept", "a name\nof two lines", "changed"} {
		_ = os.WriteFile(filepath.Join(root, name), []byte("content"), 0o644)
		list += noted(t, root, name)
	}
	change(root)
	file := filepath.Join(t.TempDir(), "unpacked")
	_ = os.WriteFile(file, []byte(list), 0o600)
	t.Setenv(unpackedVariable, file)
	request := &remote.InitializeSynchronizationRequest{Session: "sync_x", Version: synchronization.DefaultVersion, Configuration: &synchronization.Configuration{}}
	adoptFor(request)
	endpoint, err := local.NewEndpoint(logging.NewLogger(logging.LevelDisabled, os.Stderr), root, request.Session, request.Version, request.Configuration, false)
	if err != nil {
		t.Fatal(err)
	}
	defer endpoint.Shutdown()
	snapshot, err, _ := endpoint.Scan(context.Background(), nil, true)
	if err != nil {
		t.Fatal(err)
	}
	return snapshot.Content.Contents
}

func TestWhatIsKnownIsNotReadAgainAndWhatHasChangedIs(t *testing.T) {
	found := scanned(t, "", func(root string) {
		_ = os.WriteFile(filepath.Join(root, "changed"), []byte("longer content"), 0o644)
	})
	for name, known := range map[string]bool{"kept": true, "a name\nof two lines": true, "changed": false} {
		if wrong := fmt.Sprintf("%x", found[name].Digest) == fmt.Sprintf("%040x", 1); wrong != known {
			t.Errorf("%q: %x", name, found[name].Digest)
		}
	}
}

func TestAListThatIsNotUnderstoodIsNotUsed(t *testing.T) {
	for _, list := range []string{"x\x00", "1 2 3 4 zz f\x00", "1 2 3 a 00 f\x00"} {
		if found := scanned(t, list, func(string) {}); fmt.Sprintf("%x", found["kept"].Digest) == fmt.Sprintf("%040x", 1) {
			t.Errorf("%q", list)
		}
	}
}
