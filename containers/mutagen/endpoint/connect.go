package endpoint

import (
	"context"
	"time"

	"github.com/mutagen-io/mutagen/pkg/logging"
	"github.com/mutagen-io/mutagen/pkg/synchronization"
	"github.com/mutagen-io/mutagen/pkg/synchronization/core/ignore"
	mutagenignore "github.com/mutagen-io/mutagen/pkg/synchronization/core/ignore/mutagen"
	urlpkg "github.com/mutagen-io/mutagen/pkg/url"

	"paude/sync/displace"
	"paude/sync/regular"
	"paude/sync/report"
	"paude/sync/repository"
	"paude/sync/wake"
)

var pauses = wake.Growing{First: 250 * time.Millisecond, Last: 5 * time.Second}

// silent is who is asked and told while an end is connected: nobody. ssh asks nothing here, and the daemon makes the
// command's own prompter known only after it has told its name, so that a message to it fails now and then.
const silent = ""

type handler struct {
	inner synchronization.ProtocolHandler
	local bool
}

// Register puts paude's endpoints around those of every protocol. It must be called before the daemon runs.
func Register() {
	for protocol, inner := range synchronization.ProtocolHandlers {
		synchronization.ProtocolHandlers[protocol] = &handler{inner, protocol == urlpkg.Protocol_Local}
	}
}

// Connect connects as mutagen does, and begins to watch.
func (h *handler) Connect(ctx context.Context, logger *logging.Logger, url *urlpkg.URL, prompter, session string, version synchronization.Version, configuration *synchronization.Configuration, alpha bool) (synchronization.Endpoint, error) {
	both, file, err := meet(session)
	if err != nil {
		return nil, err
	}
	ignored, err := ignores(configuration)
	if err != nil {
		return nil, err
	}
	limits, err := limitsOf(session)
	if err != nil {
		return nil, err
	}
	life, stop := context.WithCancel(context.Background())
	w := &watched{changed: make(chan struct{}, 1), stop: stop, ignored: ignored, report: file, pair: both, name: session, limits: limits, side: "pod", large: map[string][]byte{}}
	w.limits.File = configuration.MaximumStagingFileSize
	if alpha {
		w.side = "laptop"
	}
	if h.local {
		w.repository = repository.Repository{Root: url.Path}
		if w.mover, err = displace.New(ctx, url.Path, session, alpha, version, configuration, w.log); err != nil {
			stop()
			return nil, err
		}
	}
	go w.watch(life, h.local, url) // beside the connection, because it has one of its own to make
	connect := func() (synchronization.Endpoint, error) {
		if !h.local { // the agent looks for itself
			return h.inner.Connect(ctx, logger, url, silent, session, version, configuration, alpha)
		}
		found, err := h.inner.Connect(ctx, logger, url, silent, session, version, regular.Unpolled(configuration), alpha)
		if err != nil {
			return nil, err
		}
		return regular.New(found, regular.Every(version, configuration)), nil
	}
	w.Endpoint, err = again(ctx, connect, prompter == "" && !h.local, file)
	if err != nil {
		stop()
		return nil, err
	}
	if alpha {
		return &laptop{w}, nil
	}
	return &pod{w}, nil
}

// again tries as long as it takes in the background: the controller itself would wait 15 s after each failure. Who was
// cut several times in a row has a long pause before him when the way is good again, and is woken then.
func again(ctx context.Context, connect func() (synchronization.Endpoint, error), persist bool, file *report.File) (synchronization.Endpoint, error) {
	for pause := pauses; ; {
		woken := wake.Next()
		endpoint, err := connect()
		if ctx.Err() != nil {
			if endpoint != nil {
				endpoint.Shutdown()
			}
			return nil, context.Canceled
		}
		_ = file.Update(func(c *report.Content) { c.ConnectError = text(err) })
		if err == nil || !persist {
			return endpoint, err
		}
		pause.Wait(ctx, woken)
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// ignores gives the rules by which the session was made as a function.
func ignores(c *synchronization.Configuration) (func(string, bool) bool, error) {
	ignorer, err := mutagenignore.NewIgnorer(append(append([]string{}, c.DefaultIgnores...), c.Ignores...))
	if err != nil {
		return nil, err
	}
	if c.IgnoreVCSMode == ignore.IgnoreVCSMode_IgnoreVCSModeIgnore {
		ignorer = ignore.IgnoreVCS(ignorer)
	}
	return func(path string, directory bool) bool {
		status, _ := ignorer.Ignore(path, directory)
		return status == ignore.IgnoreStatusIgnored
	}, nil
}
