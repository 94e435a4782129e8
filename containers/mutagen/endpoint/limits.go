package endpoint

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"

	"github.com/mutagen-io/mutagen/pkg/filesystem"
)

// limits are what one session may do, from `limits/SESSION.json` in mutagen's data directory. Those of entries and of
// one file's size are mutagen's own.
type limits struct {
	Deletes int    `json:"deletes"` // files that one change may remove at one end
	Bytes   uint64 `json:"bytes"`   // of all files of the pod
	Depth   int    `json:"depth"`   // directories within each other
	File    uint64 `json:"-"`       // bytes of one file, mutagen's own limit
	Rate    int    `json:"rate"`    // bytes of file content in a second, each way; 0: any
}

func limitsOf(session string) (limits, error) {
	found := limits{Deletes: 1000, Bytes: 64 << 30, Depth: 100}
	path, err := filesystem.Mutagen(false, "limits", session+".json")
	if err != nil {
		return found, err
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return found, nil
	}
	return found, errors.Join(err, json.Unmarshal(data, &found))
}
