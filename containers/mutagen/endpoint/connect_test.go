package endpoint

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/mutagen-io/mutagen/pkg/synchronization"

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
