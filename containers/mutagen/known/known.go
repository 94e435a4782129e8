// Package known is about what whoever has just read or written a tree tells of its files, so that the first look at them
// need not read them again: for each its inode, mode, time of change in nanoseconds, size in bytes, SHA-1 and name,
// with a zero byte behind it. It is taken for a cache of mutagen's, which compares each file's facts with it.
package known

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"

	"github.com/mutagen-io/mutagen/pkg/synchronization/core"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Append puts a file's record behind others.
func Append(records []byte, facts *unix.Stat_t, sum []byte, name string) []byte {
	for _, number := range []int64{int64(facts.Ino), int64(facts.Mode), unix.TimespecToNsec(facts.Mtim), facts.Size} {
		records = append(strconv.AppendInt(records, number, 10), ' ')
	}
	records = append(hex.AppendEncode(records, sum), ' ')
	return append(append(records, name...), 0)
}

// Read gives what a list tells; nothing where there is none. What broke off within a record ends before it.
func Read(list string) (*core.Cache, error) {
	text, err := os.ReadFile(list)
	if errors.Is(err, fs.ErrNotExist) {
		return &core.Cache{}, nil
	}
	if err != nil {
		return nil, err
	}
	return parse(text)
}

func parse(text []byte) (*core.Cache, error) {
	cache := &core.Cache{Entries: map[string]*core.CacheEntry{}}
	for record, rest, whole := bytes.Cut(text, []byte{0}); whole; record, rest, whole = bytes.Cut(rest, []byte{0}) {
		name, entry, err := one(record)
		if err != nil {
			return nil, err
		}
		cache.Entries[name] = entry
	}
	return cache, nil
}

func one(record []byte) (string, *core.CacheEntry, error) {
	words := bytes.SplitN(record, []byte{' '}, 6)
	if len(words) != 6 {
		return "", nil, fmt.Errorf("%q is no file's record", record)
	}
	var numbers [4]int64
	for i := range numbers {
		number, err := strconv.ParseInt(string(words[i]), 10, 64)
		if err != nil {
			return "", nil, err
		}
		numbers[i] = number
	}
	digest, err := hex.DecodeString(string(words[4]))
	if err != nil {
		return "", nil, err
	}
	return string(words[5]), &core.CacheEntry{
		FileID:           uint64(numbers[0]),
		Mode:             uint32(numbers[1]),
		ModificationTime: timestamppb.New(time.Unix(0, numbers[2])),
		Size:             uint64(numbers[3]),
		Digest:           digest,
	}, nil
}
