package pack

import (
	"archive/tar"
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

func packed(t *testing.T, root string, paths ...string) (map[string]*tar.Header, map[string]string, []string) {
	t.Helper()
	names := make(chan string, len(paths))
	for _, path := range paths {
		names <- path
	}
	close(names)
	var out bytes.Buffer
	var unreadable []string
	tell := Tell{func(path string) { unreadable = append(unreadable, path) }, func([]byte) {}, func(int64) {}}
	if err := Write(&out, root, names, tell); err != nil {
		t.Fatal(err)
	}
	stream, err := zstd.NewReader(&out)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	headers, contents := map[string]*tar.Header{}, map[string]string{}
	for archive := tar.NewReader(stream); ; {
		header, err := archive.Next()
		if err == io.EOF {
			return headers, contents, unreadable
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		headers[header.Name], contents[header.Name] = header, string(content)
	}
}

func TestEntriesAreWhatTheyAreWhenTheirTurnComes(t *testing.T) {
	root := t.TempDir()
	large := string(bytes.Repeat([]byte("large "), small))
	_ = os.Mkdir(filepath.Join(root, "d"), 0o700)
	_ = os.WriteFile(filepath.Join(root, "d/run"), []byte("x"), 0o700)
	_ = os.WriteFile(filepath.Join(root, "large"), []byte(large), 0o600)
	_ = os.Symlink("d/run", filepath.Join(root, "link"))
	headers, contents, unreadable := packed(t, root, "d", "d/run", "large", "link", "gone", "large/below")
	if len(headers) != 4 || !slices.Equal(unreadable, []string{"large/below"}) {
		t.Fatal(headers, unreadable)
	}
	if headers["d/"].Typeflag != tar.TypeDir || headers["link"].Linkname != "d/run" {
		t.Fatal(headers["d/"], headers["link"])
	}
	if headers["d/run"].Mode != 0o755 || headers["large"].Mode != 0o644 || contents["large"] != large {
		t.Fatal(headers["d/run"], headers["large"])
	}
}

func digest(content string) string {
	sum := sha1.Sum([]byte(content))
	return base64.RawStdEncoding.EncodeToString(sum[:])
}

func TestTheNanosecondsOfATimeAndADigestNeedNoLongerHeader(t *testing.T) {
	root := t.TempDir()
	long := strings.Repeat("long/", 60) + "ü\nf"
	content := map[string]string{"f": "x", "large": strings.Repeat("x", small+1), long: "y"}
	for name, text := range content {
		path := filepath.Join(root, name)
		_ = os.MkdirAll(filepath.Dir(path), 0o700)
		_ = os.WriteFile(path, []byte(text), 0o600)
		_ = os.Chtimes(path, time.Time{}, time.Unix(1_700_000_000, 999_999_999))
	}
	_ = os.WriteFile(filepath.Join(root, "old"), nil, 0o600)
	_ = os.Chtimes(filepath.Join(root, "old"), time.Time{}, time.Unix(-2, 1))
	headers, _, _ := packed(t, root, "f", "large", long, "old")
	for name, wanted := range map[string]struct {
		format  tar.Format
		seconds int64
		fields  string
	}{
		"f":     {tar.FormatUSTAR, 1_700_000_000, "999999999 " + digest("x")},
		"large": {tar.FormatUSTAR, 1_700_000_000, "999999999 "},
		long:    {tar.FormatPAX, 1_700_000_000, "999999999 " + digest("y")},
		"old":   {tar.FormatPAX, -2, "1 " + digest("")},
	} {
		h := headers[name]
		if h.Format != wanted.format || !h.ModTime.Equal(time.Unix(wanted.seconds, 0)) || h.Uname+" "+h.Gname != wanted.fields {
			t.Errorf("%q: %v %v %q %q", name, h.Format, h.ModTime, h.Uname, h.Gname)
		}
	}
}

func TestADirectoryThatBecameALinkIsNotFollowed(t *testing.T) {
	root := t.TempDir()
	_ = os.MkdirAll(filepath.Join(root, "held/back"), 0o700)
	_ = os.WriteFile(filepath.Join(root, "held/back/f"), []byte("secret"), 0o600)
	_ = os.WriteFile(filepath.Join(root, "z"), []byte("x"), 0o600)
	_ = os.Symlink("held", filepath.Join(root, "d"))
	_, contents, unreadable := packed(t, root, "d", "d/back", "d/back/f", "z")
	if !maps.Equal(contents, map[string]string{"d": "", "z": "x"}) {
		t.Fatal(contents)
	}
	if !slices.Equal(unreadable, []string{"d/back", "d/back/f"}) {
		t.Fatal(unreadable)
	}
}

func TestDirectoriesAreEnteredInAnyOrder(t *testing.T) {
	root := t.TempDir()
	var names []string
	for _, name := range []string{"a/b/c/f", "a/bb/f", "f", "a/b/f", "a/f"} {
		_ = os.MkdirAll(filepath.Join(root, filepath.Dir(name)), 0o700)
		_ = os.WriteFile(filepath.Join(root, name), []byte(name), 0o600)
		names = append(names, name)
	}
	_, contents, unreadable := packed(t, root, names...)
	if len(contents) != len(names) || unreadable != nil {
		t.Fatal(contents, unreadable)
	}
	for name, content := range contents {
		if name != content {
			t.Fatal(name, content)
		}
	}
}

func TestAFileThatBecameShorterKeepsItsSize(t *testing.T) {
	root := t.TempDir()
	for _, size := range []int{small, small + 1} {
		path := filepath.Join(root, "f")
		_ = os.WriteFile(path, bytes.Repeat([]byte("x"), size), 0o600)
		way, err := from(root)
		if err != nil {
			t.Fatal(err)
		}
		within, err := way.to("f")
		one := look(within, "f", err)
		way.end()
		_ = os.Truncate(path, 1)
		var out bytes.Buffer
		archive := tar.NewWriter(&out)
		if err := errors.Join(one.appendTo(archive), archive.Close()); err != nil {
			t.Fatal(size, err)
		}
	}
}

// A file of sysfs says that it has a page, and has a line.
func TestWhatAFileLacksIsZerosAndSoIsItsDigest(t *testing.T) {
	const above, name = "/sys/kernel/mm/transparent_hugepage", "enabled"
	line, err := os.ReadFile(filepath.Join(above, name))
	if err != nil {
		t.Skip(err)
	}
	full := t.TempDir()
	_ = os.WriteFile(filepath.Join(full, "f"), bytes.Repeat([]byte("x"), small), 0o600)
	if _, _, told := sent(t, full, "f"); !bytes.HasSuffix(told, []byte(" f\x00")) { // leaves its buffer
		t.Errorf("%q", told)
	}
	header, content, told := sent(t, above, name)
	wanted := string(line) + strings.Repeat("\x00", os.Getpagesize()-len(line))
	if content != wanted || header.Gname != digest(wanted) || told != nil {
		t.Fatalf("%q %q %q", content, header.Gname, told)
	}
}

func sent(t *testing.T, root, name string) (*tar.Header, string, []byte) {
	t.Helper()
	way, err := from(root)
	if err != nil {
		t.Fatal(err)
	}
	defer way.end()
	within, err := way.to(name)
	var out bytes.Buffer
	one := look(within, name, err)
	if err := one.appendTo(tar.NewWriter(&out)); err != nil {
		t.Fatal(err)
	}
	archive := tar.NewReader(&out)
	header, err := archive.Next()
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(archive)
	if err != nil {
		t.Fatal(err)
	}
	return header, string(content), one.known
}
