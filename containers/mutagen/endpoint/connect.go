package endpoint

import (
	"context"
	"time"

	"github.com/mutagen-io/mutagen/pkg/logging"
	"github.com/mutagen-io/mutagen/pkg/synchronization"
	"github.com/mutagen-io/mutagen/pkg/synchronization/core"
	urlpkg "github.com/mutagen-io/mutagen/pkg/url"

	"paude/sync/known"
	"paude/sync/local"
	"paude/sync/report"
	"paude/sync/repository"
	"paude/sync/wake"
	"paude/sync/watch"
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

// Connect connects as mutagen does; an end on this machine is paude's own.
func (h *handler) Connect(ctx context.Context, logger *logging.Logger, url *urlpkg.URL, prompter, session string, version synchronization.Version, configuration *synchronization.Configuration, alpha bool) (synchronization.Endpoint, error) {
	both, file, err := meet(session)
	if err != nil {
		return nil, err
	}
	ignored, err := ignores(version, configuration)
	if err != nil {
		return nil, err
	}
	limits, err := limitsOf(session)
	if err != nil {
		return nil, err
	}
	w := &watched{ignored: ignored, report: file, pair: both, name: session, limits: limits, side: "pod", large: map[string][]byte{}}
	w.limits.File = configuration.MaximumStagingFileSize
	if alpha {
		w.side = "laptop"
	}
	connect := func() (synchronization.Endpoint, error) {
		if h.local {
			return w.here(ctx, url.Path, version, configuration, alpha)
		}
		return h.inner.Connect(ctx, logger, url, silent, session, version, configuration, alpha)
	}
	w.Endpoint, err = again(ctx, connect, prompter == "" && !h.local, file)
	if err != nil {
		return nil, err
	}
	if alpha {
		return &laptop{w, repository.Repository{Root: url.Path}}, nil
	}
	return &pod{watched: w}, nil
}

// here opens an end on this machine.
func (e *watched) here(ctx context.Context, path string, version synchronization.Version, configuration *synchronization.Configuration, alpha bool) (synchronization.Endpoint, error) {
	watcher := e.watcher(path)
	opened, err := local.New(ctx, path, e.name, version, configuration, alpha, watcher, e.log)
	if err != nil {
		watcher.Close()
		return nil, err
	}
	opened.Knows(func(ctx context.Context) (*core.Cache, error) { return known.Await(ctx, path) })
	return opened, nil
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
func ignores(version synchronization.Version, c *synchronization.Configuration) (watch.Skip, error) {
	ignorer, err := local.Ignorer(version, c)
	if err != nil {
		return nil, err
	}
	return local.Ignored(ignorer), nil
}
