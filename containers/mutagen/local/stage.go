package local

import (
	"io"

	"github.com/mutagen-io/mutagen/pkg/filesystem"
	"github.com/mutagen-io/mutagen/pkg/synchronization/rsync"
)

// Stage takes what is here already, by another name or from a cycle that was cut off, and asks for the rest.
func (e *Endpoint) Stage(paths []string, digests [][]byte) ([]string, []*rsync.Signature, rsync.Receiver, error) {
	if e.entries()+uint64(len(paths)) > e.rules.most {
		return nil, nil, nil, ErrWouldBeMore
	}
	if err := e.stager.Initialize(); err != nil {
		return nil, nil, nil, err
	}
	opener := filesystem.NewOpener(e.root)
	defer opener.Close()
	holders := e.holders(digests)
	var missing []string
	for i, path := range paths {
		staged, err := e.stager.Contains(path, digests[i])
		if err != nil {
			return nil, nil, nil, err
		}
		if !staged && !e.copy(opener, holders[string(digests[i])], path, digests[i]) {
			missing = append(missing, path)
		}
	}
	if len(missing) == 0 {
		return nil, nil, nil, nil
	}
	signatures := make([]*rsync.Signature, len(missing))
	for i, path := range missing {
		signatures[i] = signature(opener, path)
	}
	receiver, err := rsync.NewReceiver(e.root, missing, signatures, e.stager)
	return missing, signatures, receiver, err
}

// holders gives a path that had such content at the last look, by digest.
func (e *Endpoint) holders(digests [][]byte) map[string]string {
	holders := make(map[string]string, len(digests))
	for _, digest := range digests {
		holders[string(digest)] = ""
	}
	for path, known := range e.cache.GetEntries() {
		if holder, wanted := holders[string(known.Digest)]; wanted && holder == "" {
			holders[string(known.Digest)] = path
		}
	}
	return holders
}

// copy stages the content of another path, and says whether it is the one that is wanted.
func (e *Endpoint) copy(opener *filesystem.Opener, holder, path string, digest []byte) bool {
	if holder == "" {
		return false
	}
	source, _, err := opener.OpenFile(holder)
	if err != nil {
		return false
	}
	defer source.Close()
	sink, err := e.stager.Sink(path)
	if err != nil {
		return false
	}
	_, err = io.Copy(sink, source)
	if closed := sink.Close(); err != nil || closed != nil {
		return false
	}
	staged, err := e.stager.Contains(path, digest)
	return err == nil && staged
}

// signature is of the content that is at the path now; empty when there is none.
func signature(opener *filesystem.Opener, path string) *rsync.Signature {
	base, _, err := opener.OpenFile(path)
	if err != nil {
		return &rsync.Signature{}
	}
	defer base.Close()
	found, err := rsync.NewEngine().Signature(base, 0)
	if err != nil {
		return &rsync.Signature{}
	}
	return found
}

// Supply gives the content that the other end asks for.
func (e *Endpoint) Supply(paths []string, signatures []*rsync.Signature, receiver rsync.Receiver) error {
	return rsync.Transmit(e.root, paths, signatures, receiver)
}
