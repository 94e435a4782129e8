package seed

import (
	"archive/tar"
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

var stamp = time.Unix(1_700_000_000, 0)

func stream(t testing.TB, entries ...tar.Header) *bytes.Buffer {
	t.Helper()
	var buffer bytes.Buffer
	writer := tar.NewWriter(&buffer)
	for _, entry := range entries {
		content := bytes.Repeat([]byte("x"), int(entry.Size))
		entry.ModTime = stamp
		if err := writer.WriteHeader(&entry); err != nil {
			t.Fatal(err)
		}
		if _, err := writer.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return &buffer
}

func TestFilesComeWithTimeAndExecutableBit(t *testing.T) {
	root := t.TempDir()
	var list bytes.Buffer
	count, err := Extract(stream(t,
		tar.Header{Name: "deep/er/run", Typeflag: tar.TypeReg, Mode: 0o700, Size: 3},
		tar.Header{Name: "big", Typeflag: tar.TypeReg, Mode: 0o600, Size: small + 1},
		tar.Header{Name: "empty", Typeflag: tar.TypeDir, Mode: 0o755},
		tar.Header{Name: "link", Typeflag: tar.TypeSymlink, Linkname: "deep/er/run"}), root, &list)
	if err != nil || count != (Count{2, small + 4}) {
		t.Fatalf("%+v, %v", count, err)
	}
	for name, size := range map[string]int{"deep/er/run": 3, "big": small + 1} {
		sum := sha1.Sum(bytes.Repeat([]byte("x"), size))
		info, _ := os.Stat(filepath.Join(root, name))
		facts := info.Sys().(*syscall.Stat_t)
		noted := fmt.Sprintf("%d %d %d %d %x %s\x00", facts.Ino, facts.Mode, stamp.UnixNano(), size, sum, name)
		if !strings.Contains("\x00"+list.String(), "\x00"+noted) {
			t.Errorf("%q is not in %q", noted, list.String())
		}
	}
	run, _ := os.Stat(filepath.Join(root, "link"))
	big, _ := os.Stat(filepath.Join(root, "big"))
	if run.Mode()&0o100 == 0 || big.Mode()&0o111 != 0 || !run.ModTime().Equal(stamp) || big.Size() != small+1 {
		t.Fatalf("%v %v", run, big)
	}
}

func TestADigestThatWasToldIsNotComputedAgain(t *testing.T) {
	var list bytes.Buffer
	told := base64.RawStdEncoding.EncodeToString(bytes.Repeat([]byte{7}, sha1.Size))
	if _, err := Extract(stream(t,
		tar.Header{Name: "told", Typeflag: tar.TypeReg, Size: 1, Gname: told},
		tar.Header{Name: "empty", Typeflag: tar.TypeReg, Gname: "users"},
		tar.Header{Name: "large", Typeflag: tar.TypeReg, Size: small + 1, Gname: told}), t.TempDir(), &list); err != nil {
		t.Fatal(err)
	}
	for name, sum := range map[string]any{
		"told":  bytes.Repeat([]byte{7}, sha1.Size),
		"empty": sha1.Sum(nil),
		"large": sha1.Sum(bytes.Repeat([]byte("x"), small+1)),
	} {
		if noted := fmt.Sprintf(" %x %s\x00", sum, name); !strings.Contains(list.String(), noted) {
			t.Errorf("%q is not in %q", noted, list.String())
		}
	}
}

func TestFieldsThatSayNothingOfUseAreLeft(t *testing.T) {
	nearly := stamp.Add(5)
	for _, one := range []struct {
		header tar.Header
		wanted time.Time
	}{
		{tar.Header{ModTime: stamp, Uname: "0"}, stamp},
		{tar.Header{ModTime: stamp, Uname: "999999999"}, stamp.Add(999_999_999)},
		{tar.Header{ModTime: nearly, Uname: "7"}, nearly},
		{tar.Header{ModTime: stamp}, stamp},
		{tar.Header{ModTime: stamp, Uname: "1000000000"}, stamp},
		{tar.Header{ModTime: stamp, Uname: "-1"}, stamp},
		{tar.Header{ModTime: stamp, Uname: "root"}, stamp},
	} {
		if found := changed(&one.header); !found.Equal(one.wanted) {
			t.Errorf("%q: %v", one.header.Uname, found)
		}
	}
	whole := base64.RawStdEncoding.EncodeToString(make([]byte, sha1.Size))
	for _, field := range []string{"", "root", whole[1:], whole + "A", whole[:26] + "B", whole[:26] + "=", "-" + whole[1:]} {
		if sum := digest(&tar.Header{Gname: field}); sum != nil {
			t.Errorf("%q: %x", field, sum)
		}
	}
}

func TestNothingIsWrittenOutside(t *testing.T) {
	above := t.TempDir()
	for name, header := range map[string]tar.Header{
		"absolute":  {Name: filepath.Join(above, "x"), Typeflag: tar.TypeReg},
		"up":        {Name: "../x", Typeflag: tar.TypeReg},
		"up inside": {Name: "a/../../x", Typeflag: tar.TypeReg},
		"hard link": {Name: "x", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"},
		"device":    {Name: "x", Typeflag: tar.TypeChar},
		"pipe":      {Name: "x", Typeflag: tar.TypeFifo},
	} {
		root := filepath.Join(above, "root")
		_ = os.Mkdir(root, 0o755)
		if _, err := Extract(stream(t, header), root, io.Discard); err == nil {
			t.Errorf("%s was taken", name)
		}
		if _, err := os.Lstat(filepath.Join(above, "x")); err == nil {
			t.Errorf("%s was written outside", name)
		}
	}
}

func TestALinkIsNeverFollowed(t *testing.T) {
	above := t.TempDir()
	root := filepath.Join(above, "root")
	_ = os.Mkdir(root, 0o755)
	_, err := Extract(stream(t,
		tar.Header{Name: "out", Typeflag: tar.TypeSymlink, Linkname: ".."},
		tar.Header{Name: "out/x", Typeflag: tar.TypeReg, Size: 1}), root, io.Discard)
	if _, outside := os.Lstat(filepath.Join(above, "x")); outside == nil {
		t.Fatalf("written through the link (%v)", err)
	}
}

func TestAnEarlierStreamGivesWay(t *testing.T) {
	root := t.TempDir()
	_ = os.Symlink("/nowhere", filepath.Join(root, "a"))
	_ = os.WriteFile(filepath.Join(root, "b"), []byte("old"), 0o644)
	if _, err := Extract(stream(t,
		tar.Header{Name: "a", Typeflag: tar.TypeReg, Size: 1},
		tar.Header{Name: "b/c", Typeflag: tar.TypeReg, Size: 1}), root, io.Discard); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkTenThousandFiles(b *testing.B) {
	var entries []tar.Header
	for i := range 10_000 {
		name := fmt.Sprintf("d%d/f%d", i/100, i)
		entries = append(entries, tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: 8 << 10})
	}
	text := stream(b, entries...).Bytes()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := Extract(bytes.NewReader(text), b.TempDir(), io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}

func packed(t testing.TB, text []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	writer, err := zstd.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = writer.Write(text)
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestAPackedStreamIsUnpacked(t *testing.T) {
	text := packed(t, stream(t, tar.Header{Name: "a", Typeflag: tar.TypeReg, Size: 7}).Bytes())
	root := t.TempDir()
	count, err := Extract(bytes.NewReader(text), root, io.Discard)
	if info, missing := os.Stat(filepath.Join(root, "a")); err != nil || missing != nil || info.Size() != 7 || count.Bytes != 7 {
		t.Fatalf("%+v, %v, %v", count, err, missing)
	}
}

func TestAPackedStreamThatBreaksOffIsNone(t *testing.T) {
	text := packed(t, stream(t, tar.Header{Name: "a", Typeflag: tar.TypeReg, Size: 7}).Bytes())
	for _, missing := range []int{1, 4, 5, len(text) - 5} {
		if _, err := Extract(bytes.NewReader(text[:len(text)-missing]), t.TempDir(), io.Discard); err == nil {
			t.Errorf("%d bytes are missing at the end, and it was taken", missing)
		}
	}
}
