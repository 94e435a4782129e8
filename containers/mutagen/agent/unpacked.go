package main

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/mutagen-io/mutagen/pkg/encoding"
	"github.com/mutagen-io/mutagen/pkg/filesystem"
	"github.com/mutagen-io/mutagen/pkg/synchronization/core"
	"github.com/mutagen-io/mutagen/pkg/synchronization/endpoint/remote"
	"github.com/mutagen-io/mutagen/pkg/synchronization/hashing"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// unpackedVariable names the list of what the first content has brought: for each file its inode, mode, time of change in
// nanoseconds, size in bytes, SHA-1 and name, with a zero byte behind it.
const unpackedVariable = "PAUDE_UNPACKED"

// adoptFor takes over what is known of the first content; without it everything is read.
func adoptFor(request *remote.InitializeSynchronizationRequest) {
	algorithm := request.Configuration.HashingAlgorithm
	if algorithm.IsDefault() {
		algorithm = request.Version.DefaultHashingAlgorithm()
	}
	list := os.Getenv(unpackedVariable)
	if list == "" || request.Alpha || algorithm != hashing.Algorithm_AlgorithmSHA1 {
		return
	}
	if err := adopt(list, request.Session); err != nil {
		note("what is known of the first content is of no use: %v", err)
	}
}

// adopt makes the list the cache of a session's far end, so that the first look need not read every file again. Mutagen
// compares each file's facts with it and reads what has changed since.
func adopt(list, session string) error {
	text, err := os.ReadFile(list)
	if errors.Is(err, fs.ErrNotExist) || (err == nil && len(text) == 0) {
		return nil
	}
	if err != nil {
		return err
	}
	cache := &core.Cache{Entries: map[string]*core.CacheEntry{}}
	for _, record := range bytes.Split(bytes.TrimSuffix(text, []byte{0}), []byte{0}) {
		name, entry, err := parse(record)
		if err != nil {
			return err
		}
		cache.Entries[name] = entry
	}
	directory, err := filesystem.Mutagen(true, filesystem.MutagenSynchronizationCachesDirectoryName)
	if err != nil {
		return err
	}
	return encoding.MarshalAndSaveProtobuf(filepath.Join(directory, session+"_beta"), cache)
}

func parse(record []byte) (string, *core.CacheEntry, error) {
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
