package local

import (
	"hash"
	"slices"
	"time"

	"github.com/mutagen-io/mutagen/pkg/filesystem"
	"github.com/mutagen-io/mutagen/pkg/filesystem/behavior"
	"github.com/mutagen-io/mutagen/pkg/synchronization"
	"github.com/mutagen-io/mutagen/pkg/synchronization/core"
	"github.com/mutagen-io/mutagen/pkg/synchronization/core/ignore"
	"github.com/mutagen-io/mutagen/pkg/synchronization/hashing"

	"paude/sync/ignores"
	"paude/sync/watch"
)

// rules are a session's configuration, with the version's defaults in it.
type rules struct {
	hasher      func() hash.Hash
	sha1        bool // is the hasher
	ignorer     ignore.Ignorer
	probe       behavior.ProbeMode
	links       core.SymbolicLinkMode
	permissions core.PermissionsMode
	files       filesystem.Mode
	directories filesystem.Mode
	owner       *filesystem.OwnershipSpecification
	most        uint64 // entries
	largest     uint64 // bytes of a file
	every       time.Duration
}

func rulesOf(version synchronization.Version, c *synchronization.Configuration) (rules, error) {
	ignorer, err := Ignorer(version, c)
	if err != nil {
		return rules{}, err
	}
	owner, err := filesystem.NewOwnershipSpecification(
		or(c.DefaultOwner, version.DefaultOwnerSpecification()), or(c.DefaultGroup, version.DefaultGroupSpecification()))
	if err != nil {
		return rules{}, err
	}
	seconds := or(c.WatchPollingInterval, version.DefaultWatchPollingInterval())
	algorithm := or(c.HashingAlgorithm, version.DefaultHashingAlgorithm())
	return rules{
		hasher:      algorithm.Factory(),
		sha1:        algorithm == hashing.Algorithm_AlgorithmSHA1,
		ignorer:     ignorer,
		probe:       or(c.ProbeMode, version.DefaultProbeMode()),
		links:       or(c.SymbolicLinkMode, version.DefaultSymbolicLinkMode()),
		permissions: or(c.PermissionsMode, version.DefaultPermissionsMode()),
		files:       filesystem.Mode(or(c.DefaultFileMode, uint32(version.DefaultFileMode()))),
		directories: filesystem.Mode(or(c.DefaultDirectoryMode, uint32(version.DefaultDirectoryMode()))),
		owner:       owner,
		most:        or(c.MaximumEntryCount, version.DefaultMaximumEntryCount()),
		largest:     or(c.MaximumStagingFileSize, version.DefaultMaximumStagingFileSize()),
		every:       time.Duration(seconds) * time.Second,
	}, nil
}

// Ignorer gives the patterns by which a session was made.
func Ignorer(version synchronization.Version, c *synchronization.Configuration) (ignore.Ignorer, error) {
	ignorer, err := ignores.New(slices.Concat(c.DefaultIgnores, c.Ignores))
	if err != nil {
		return nil, err
	}
	if or(c.IgnoreVCSMode, version.DefaultIgnoreVCSMode()) == ignore.IgnoreVCSMode_IgnoreVCSModeIgnore {
		ignorer = ignore.IgnoreVCS(ignorer)
	}
	return ignorer, nil
}

// or gives what is set, else the default; unset is zero in each of these settings.
func or[T comparable](set, preset T) T {
	var unset T
	if set == unset {
		return preset
	}
	return set
}

// Ignored gives them as a question of yes or no.
func Ignored(ignorer ignore.Ignorer) watch.Skip {
	return func(path string, directory bool) bool {
		status, _ := ignorer.Ignore(path, directory)
		return status == ignore.IgnoreStatusIgnored
	}
}
