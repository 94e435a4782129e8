package local

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/mutagen-io/mutagen/pkg/encoding"
	"github.com/mutagen-io/mutagen/pkg/filesystem"
	"github.com/mutagen-io/mutagen/pkg/synchronization/core"
)

// saveEach is how often what is known of the files is written, at most: it is all of it each time.
const saveEach = time.Minute

// saver writes what is known of the files, so that the next process need not read them all.
type saver struct {
	path   string
	latest chan *core.Cache // has room for one
	done   chan struct{}
}

// openCache gives what an earlier process knew; nothing when that cannot be read. It lies where mutagen keeps its own.
func openCache(session string, alpha bool) (*saver, *core.Cache, error) {
	path, err := cachePath(session, alpha)
	if err != nil {
		return nil, nil, err
	}
	cache := &core.Cache{}
	if encoding.LoadAndUnmarshalProtobuf(path, cache) != nil || cache.EnsureValid() != nil {
		cache = &core.Cache{}
	}
	s := &saver{path: path, latest: make(chan *core.Cache, 1), done: make(chan struct{})}
	go s.run()
	return s, cache, nil
}

// cachePath is where the digests of an end's files are kept.
func cachePath(session string, alpha bool) (string, error) {
	directory, err := filesystem.Mutagen(true, filesystem.MutagenSynchronizationCachesDirectoryName)
	end := "beta"
	if alpha {
		end = "alpha"
	}
	return filepath.Join(directory, session+"_"+end), err
}

// save has this one written instead of an earlier one.
func (s *saver) save(cache *core.Cache) {
	select {
	case <-s.latest:
	default:
	}
	s.latest <- cache
}

func (s *saver) close() {
	close(s.latest)
	<-s.done
}

func (s *saver) run() {
	defer close(s.done)
	var written time.Time
	for cache := range s.latest {
		if time.Since(written) < saveEach {
			continue
		}
		written = time.Now()
		if err := encoding.MarshalAndSaveProtobuf(s.path, cache); err != nil {
			fmt.Fprintf(os.Stderr, "paude: what is known of the files cannot be kept: %v\n", err)
		}
	}
}
