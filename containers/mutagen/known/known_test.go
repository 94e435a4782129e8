package known

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/mutagen-io/mutagen/pkg/synchronization/core"
	"golang.org/x/sys/unix"
)

func record(t *testing.T, name string) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	var facts unix.Stat_t
	if err := unix.Stat(path, &facts); err != nil {
		t.Fatal(err)
	}
	return Append(nil, &facts, []byte{1, 2}, name)
}

func TestAListIsReadUpToWhereItBreaksOff(t *testing.T) {
	text := append(record(t, "a name\nof two lines"), record(t, "broken off")...)
	cache, err := parse(text[:len(text)-1])
	if err != nil || len(cache.Entries) != 1 {
		t.Fatal(cache, err)
	}
	if found := cache.Entries["a name\nof two lines"]; found.Size != 7 || string(found.Digest) != "\x01\x02" {
		t.Error(found)
	}
}

func TestAListThatIsNotUnderstoodIsAnError(t *testing.T) {
	for _, list := range []string{"x\x00", "1 2 3 4 zz f\x00", "1 2 3 a 00 f\x00"} {
		if _, err := parse([]byte(list)); err == nil {
			t.Errorf("%q", list)
		}
	}
}

func TestWithoutAListNothingIsKnown(t *testing.T) {
	t.Setenv("MUTAGEN_DATA_DIRECTORY", t.TempDir())
	for _, found := range []func() (*core.Cache, error){
		func() (*core.Cache, error) { return Read(filepath.Join(t.TempDir(), "none")) },
		func() (*core.Cache, error) { return Await(t.Context(), "/a/tree") },
	} {
		if cache, err := found(); err != nil || len(cache.Entries) != 0 {
			t.Error(cache, err)
		}
	}
}

type awaited struct {
	cache *core.Cache
	err   error
}

func await(ctx context.Context, root string) <-chan awaited {
	found := make(chan awaited, 1)
	go func() {
		cache, err := Await(ctx, root)
		found <- awaited{cache, err}
	}()
	return found
}

func tell(t *testing.T, root string) *Teller {
	t.Helper()
	t.Setenv("MUTAGEN_DATA_DIRECTORY", t.TempDir())
	teller, err := Tell(root)
	if err != nil {
		t.Fatal(err)
	}
	return teller
}

// opened waits until somebody else has the list open, too: Linux names the files of every process.
func opened(t *testing.T, teller *Teller) {
	t.Helper()
	for {
		handles, _ := filepath.Glob("/proc/self/fd/*")
		open := 0
		for _, handle := range handles {
			if to, err := os.Readlink(handle); err == nil && to == teller.file.Name() {
				open++
			}
		}
		if open > 1 {
			return
		}
		if t.Context().Err() != nil {
			t.Fatal("nobody opens it")
		}
	}
}

func TestWhoAsksWaitsForTheWholeList(t *testing.T) {
	teller := tell(t, "/a/tree")
	found := await(t.Context(), "/a/tree")
	opened(t, teller)
	if err := teller.Add(record(t, "f")); err != nil {
		t.Fatal(err)
	}
	if err := teller.End(); err != nil {
		t.Fatal(err)
	}
	if one := <-found; one.err != nil || one.cache.Entries["f"] == nil {
		t.Error(one)
	}
	if cache, err := Await(t.Context(), "/a/tree"); err != nil || len(cache.Entries) != 0 {
		t.Error("the list is left behind", cache, err)
	}
}

func TestATellerThatIsKilledKeepsNobody(t *testing.T) {
	teller := tell(t, "/a/tree")
	found := await(t.Context(), "/a/tree")
	opened(t, teller)
	teller.file.Close() // as its end does
	if one := <-found; one.err != nil || len(one.cache.Entries) != 0 {
		t.Error(one)
	}
	if again, err := Tell("/a/tree"); err != nil {
		t.Error(err)
	} else if err := again.End(); err != nil {
		t.Error(err)
	}
}

func TestWhoIsNoLongerWantedDoesNotWait(t *testing.T) {
	teller := tell(t, "/a/tree")
	defer teller.End()
	ctx, cancel := context.WithCancel(t.Context())
	found := await(ctx, "/a/tree")
	opened(t, teller)
	cancel()
	if one := <-found; one.err == nil {
		t.Error(one)
	}
}
