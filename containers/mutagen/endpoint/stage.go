package endpoint

import (
	"bytes"
	"time"

	"github.com/mutagen-io/mutagen/pkg/synchronization/core"
	"github.com/mutagen-io/mutagen/pkg/synchronization/rsync"
)

// tooLarge is what mutagen says too, but only to itself.
const tooLarge = "maximum file size reached"

// Stage asks for content; not again for what was found to be too large, for it would travel in each cycle.
func (e *watched) Stage(paths []string, digests [][]byte) ([]string, []*rsync.Signature, rsync.Receiver, error) {
	if e.pair.why != "" {
		return nil, nil, nil, nil
	}
	wanted := make(map[string][]byte, len(paths))
	asked, hashes := paths[:0:0], digests[:0:0]
	for i, path := range paths {
		if bytes.Equal(e.large[path], digests[i]) {
			continue
		}
		delete(e.large, path)
		wanted[path] = digests[i]
		asked, hashes = append(asked, path), append(hashes, digests[i])
	}
	if len(asked) == 0 {
		return nil, nil, nil, nil
	}
	missing, signatures, receiver, err := e.Endpoint.Stage(asked, hashes)
	if receiver != nil {
		receiver = &measured{Receiver: receiver, paths: missing, wanted: wanted, end: e}
	}
	return missing, signatures, receiver, err
}

// measured takes file content no faster than allowed, and notes which file is too large.
type measured struct {
	rsync.Receiver
	paths  []string
	wanted map[string][]byte
	end    *watched
	file   int
	next   time.Time // when what was taken so far has used up its time
}

func (m *measured) Receive(one *rsync.Transmission) error {
	if one.ExpectedSize > m.end.limits.File && m.end.limits.File > 0 && m.file < len(m.paths) {
		path := m.paths[m.file]
		m.end.large[path] = m.wanted[path]
	}
	if one.Done {
		m.file++
	}
	if size := len(one.GetOperation().GetData()); size > 0 && m.end.limits.Rate > 0 {
		m.wait(size)
	}
	return m.Receiver.Receive(one)
}

func (m *measured) wait(size int) {
	now := time.Now()
	if m.next.Before(now) {
		m.next = now
	}
	time.Sleep(m.next.Sub(now))
	m.next = m.next.Add(time.Duration(size) * time.Second / time.Duration(m.end.limits.Rate))
}

// explained says of what is too large that it is so: mutagen finds only that it was not staged.
func (e *watched) explained(results []*core.Entry, problems []*core.Problem, missing bool, err error) ([]*core.Entry, []*core.Problem, bool, error) {
	for _, p := range problems {
		if e.large[p.Path] != nil {
			p.Error = tooLarge
		}
	}
	return results, problems, missing, err
}
