package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/mutagen-io/mutagen/pkg/encoding"
	"github.com/mutagen-io/mutagen/pkg/filesystem"
	"github.com/mutagen-io/mutagen/pkg/stream"
	"github.com/mutagen-io/mutagen/pkg/synchronization/compression"
	"github.com/mutagen-io/mutagen/pkg/synchronization/core"
	"github.com/mutagen-io/mutagen/pkg/synchronization/endpoint/remote"
	"github.com/mutagen-io/mutagen/pkg/synchronization/rsync"
	"google.golang.org/protobuf/proto"

	"paude/sync/known"
	"paude/sync/local"
	"paude/sync/repository"
	"paude/sync/watch"
)

const bufferBytes = 64 * 1024

// server answers the requests of one connection, one after the other.
type server struct {
	endpoint   *local.Endpoint
	repository repository.Repository
	encoder    *encoding.ProtobufEncoder
	decoder    *encoding.ProtobufDecoder
	flusher    stream.Flusher

	open   func() error // opens the workspace, which is done before anything looks at it
	filled <-chan error // gives one when the first content is there; nil when it is
}

// serve speaks the protocol of mutagen's remote endpoint, which has no place for another endpoint than its own.
func serve(both io.ReadWriteCloser) error {
	algorithm, err := compression.ServerHandshake(both)
	if err != nil {
		return err
	}
	packed := bufio.NewWriterSize(both, bufferBytes)
	packer := algorithm.Compress(packed)
	out := bufio.NewWriterSize(packer, bufferBytes)
	in := bufio.NewReaderSize(algorithm.Decompress(bufio.NewReaderSize(both, bufferBytes)), bufferBytes)
	s := &server{
		encoder: encoding.NewProtobufEncoder(out),
		decoder: encoding.NewProtobufDecoder(in),
		flusher: stream.NewMultiFlusher(out, packer, packed),
	}
	if err := s.begin(); err != nil {
		return err
	}
	defer s.shutdown()
	for {
		request := &remote.EndpointRequest{}
		if err := s.decoder.Decode(request); err != nil {
			return err
		}
		if err := s.answer(request); err != nil {
			return err
		}
	}
}

// begin opens the workspace and answers. Where the first content is under way the workspace is opened when that is there.
func (s *server) begin() error {
	request := &remote.InitializeSynchronizationRequest{}
	if err := s.decoder.Decode(request); err != nil {
		return err
	}
	s.open = func() error { return s.openAs(request) }
	s.filled = filled()
	if s.filled == nil {
		if err := s.open(); err != nil {
			return errors.Join(err, s.send(&remote.InitializeSynchronizationResponse{Error: err.Error()}))
		}
	}
	return s.send(&remote.InitializeSynchronizationResponse{})
}

// ready returns when the workspace is open, or nobody wants it any more.
func (s *server) ready(ctx context.Context) error {
	if s.endpoint != nil {
		return nil
	}
	select {
	case err := <-s.filled:
		if err != nil {
			return err
		}
		return s.open()
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *server) shutdown() {
	if s.endpoint != nil {
		_ = s.endpoint.Shutdown()
	}
}

func (s *server) openAs(request *remote.InitializeSynchronizationRequest) error {
	if request.Session == "" || request.Root == "" || !request.Version.Supported() {
		return errors.New("invalid initialize request")
	}
	if err := request.Configuration.EnsureValid(false); err != nil {
		return err
	}
	root, err := filesystem.Normalize(request.Root)
	if err != nil {
		return err
	}
	s.repository = repository.Repository{Root: root, Far: true}
	watcher, err := watcher(root, request)
	if err != nil {
		return err
	}
	s.endpoint, err = local.New(context.Background(), root, request.Session, request.Version, request.Configuration, request.Alpha, watcher, note)
	if err != nil {
		watcher.Close()
		return err
	}
	if s.filled != nil {
		s.endpoint.Knows(unpacked)
	}
	return nil
}

// unpackedVariable names the list of what the first content has brought.
const unpackedVariable = "PAUDE_UNPACKED"

func unpacked(context.Context) (*core.Cache, error) { return known.Read(os.Getenv(unpackedVariable)) }

// watcher notices what the agent changes; where it cannot, everything is looked at from time to time.
func watcher(root string, request *remote.InitializeSynchronizationRequest) (watch.Watcher, error) {
	ignorer, err := local.Ignorer(request.Version, request.Configuration)
	if err != nil {
		return nil, err
	}
	tell := func(state watch.State) {
		if state != watch.Watching {
			note("the changes of %s are found by %s", root, state)
		}
	}
	found, err := watch.Local(root, local.Ignored(ignorer), tell)
	if err != nil {
		note("%v", err)
		return watch.None(), nil
	}
	return found, nil
}

func note(format string, arguments ...any) { fmt.Fprintf(os.Stderr, format+"\n", arguments...) }

func (s *server) send(message proto.Message) error {
	if err := s.encoder.Encode(message); err != nil {
		return err
	}
	return s.flusher.Flush()
}

func (s *server) answer(request *remote.EndpointRequest) error {
	if request.Scan == nil {
		if err := s.ready(context.Background()); err != nil {
			return err
		}
	}
	switch {
	case request.Poll != nil:
		return s.whileAsked(&remote.PollCompletionRequest{}, s.poll)
	case request.Scan != nil:
		scan := func(ctx context.Context) proto.Message { return s.scan(ctx, request.Scan) }
		return s.whileAsked(&remote.ScanCompletionRequest{}, scan)
	case request.Stage != nil:
		return s.stage(request.Stage)
	case request.Supply != nil:
		return s.supply(request.Supply)
	case request.Transition != nil:
		transition := func(ctx context.Context) proto.Message { return s.transition(ctx, request.Transition.Transitions) }
		return s.whileAsked(&remote.TransitionCompletionRequest{}, transition)
	}
	return errors.New("an unknown request")
}

// whileAsked works and answers. The other side's word that it is done comes after the answer, or before it, and then
// the work is to be given up.
func (s *server) whileAsked(completion proto.Message, work func(context.Context) proto.Message) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	completed, answered := make(chan error, 1), make(chan error, 1)
	go func() {
		completed <- s.decoder.Decode(completion)
		cancel()
	}()
	go func() { answered <- s.send(work(ctx)) }()
	return errors.Join(<-answered, <-completed)
}

func (s *server) poll(ctx context.Context) proto.Message {
	return &remote.PollResponse{Error: text(s.endpoint.Poll(ctx))}
}

// scan answers with what differs from the tree that the other side knows already.
func (s *server) scan(ctx context.Context, request *remote.ScanRequest) proto.Message {
	var snapshot *core.Snapshot
	var err error
	var again bool
	if err := s.ready(ctx); err != nil {
		return &remote.ScanResponse{Error: err.Error()}
	}
	head := s.repository.Between(ctx, func() { snapshot, err, again = s.endpoint.Scan(ctx, nil, request.Full) })
	if err != nil {
		return &remote.ScanResponse{Error: err.Error(), TryAgain: again}
	}
	tree, err := proto.MarshalOptions{Deterministic: true}.Marshal(s.bringing(snapshot, head))
	if err != nil {
		return &remote.ScanResponse{Error: err.Error()}
	}
	return &remote.ScanResponse{SnapshotDelta: rsync.NewEngine().DeltifyBytes(tree, request.BaselineSnapshotSignature, 0)}
}

// bringing gives the snapshot with what is checked out and how it is watched; the given one is the endpoint's own.
func (s *server) bringing(found *core.Snapshot, head repository.Head) *core.Snapshot {
	return &core.Snapshot{
		Content:                repository.Put(s.endpoint.PutState(found.Content), head),
		PreservesExecutability: found.PreservesExecutability,
		DecomposesUnicode:      found.DecomposesUnicode,
		Directories:            found.Directories,
		Files:                  found.Files,
		SymbolicLinks:          found.SymbolicLinks,
		TotalFileSize:          found.TotalFileSize,
	}
}

// stage answers which files are wanted, and takes them. All of them are said by an empty list.
func (s *server) stage(request *remote.StageRequest) error {
	all := len(request.Paths)
	paths, signatures, receiver, err := s.endpoint.Stage(request.Paths, request.Digests)
	if err != nil {
		return errors.Join(err, s.send(&remote.StageResponse{Error: err.Error()}))
	}
	told := paths
	if len(paths) == all {
		told = nil
	}
	if err := s.send(&remote.StageResponse{Paths: told, Signatures: signatures}); err != nil || len(paths) == 0 {
		return err
	}
	return rsync.DecodeToReceiver(incoming{s.decoder}, uint64(len(paths)), receiver)
}

func (s *server) supply(request *remote.SupplyRequest) error {
	return s.endpoint.Supply(request.Paths, request.Signatures, rsync.NewEncodingReceiver(&outgoing{s, nil}))
}

// transition wraps each result, for a list cannot hold a nil one.
func (s *server) transition(ctx context.Context, changes []*core.Change) proto.Message {
	results, problems, missing, err := s.endpoint.Transition(ctx, changes)
	if err != nil {
		return &remote.TransitionResponse{Error: err.Error()}
	}
	wrapped := make([]*core.Archive, len(results))
	for i, result := range results {
		wrapped[i] = &core.Archive{Content: result}
	}
	return &remote.TransitionResponse{Results: wrapped, Problems: problems, StagerMissingFiles: missing}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// incoming and outgoing carry file content over the same streams.
type incoming struct{ decoder *encoding.ProtobufDecoder }

func (i incoming) Decode(one *rsync.Transmission) error { return i.decoder.Decode(one) }
func (incoming) Finalize() error                        { return nil }

// outgoing keeps its first error: the receiver goes on encoding after one.
type outgoing struct {
	server *server
	err    error
}

func (o *outgoing) Encode(one *rsync.Transmission) error {
	if o.err == nil {
		o.err = o.server.encoder.Encode(one)
	}
	return o.err
}

func (o *outgoing) Finalize() error {
	if o.err != nil {
		return nil
	}
	return o.server.flusher.Flush()
}
