package endpoint

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/mutagen-io/mutagen/pkg/logging"
	"github.com/mutagen-io/mutagen/pkg/prompting"
	"github.com/mutagen-io/mutagen/pkg/synchronization"
	urlpkg "github.com/mutagen-io/mutagen/pkg/url"

	"paude/sync/report"
	"paude/sync/wake"
)

func TestATryIsMadeAtOnceWhenTheWayIsGoodAgain(t *testing.T) {
	t.Setenv("MUTAGEN_DATA_DIRECTORY", t.TempDir())
	before := pauses
	pauses.First, pauses.Last = time.Hour, time.Hour
	t.Cleanup(func() { pauses = before })
	file, err := report.Open("s")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tries := 0
	connect := func() (synchronization.Endpoint, error) {
		if tries++; tries < 4 {
			wake.Up() // the way is back while this try still hangs on the old one
			return nil, errors.New("cut")
		}
		return nil, nil
	}
	if _, err := again(ctx, connect, true, file); err != nil || tries != 4 {
		t.Fatal(tries, err)
	}
}

// chatty tells its prompter that it connects, as mutagen's own handler of ssh does.
type chatty struct{}

func (chatty) Connect(_ context.Context, _ *logging.Logger, _ *urlpkg.URL, prompter, _ string, _ synchronization.Version, _ *synchronization.Configuration, _ bool) (synchronization.Endpoint, error) {
	return nil, prompting.Message(prompter, "connecting")
}

func TestACommandWhosePrompterIsNotKnownYetConnects(t *testing.T) {
	t.Setenv("MUTAGEN_DATA_DIRECTORY", t.TempDir())
	h := &handler{chatty{}, false}
	_, err := h.Connect(t.Context(), nil, &urlpkg.URL{Host: "gate.x.paude"}, "prmt_unknown", "sync_p", synchronization.DefaultVersion, &synchronization.Configuration{}, false)
	if err != nil {
		t.Fatal(err)
	}
}
