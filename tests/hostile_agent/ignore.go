// Package mutagen, as a hostile agent has it: no pattern ignores anything.
package mutagen

import "github.com/mutagen-io/mutagen/pkg/synchronization/core/ignore"

type everything struct{}

func (everything) Ignore(string, bool) (ignore.IgnoreStatus, bool) {
	return ignore.IgnoreStatusNominal, false
}

// NewIgnorer ignores what it is given.
func NewIgnorer([]string) (ignore.Ignorer, error) { return everything{}, nil }

// EnsurePatternValid is content with all of them.
func EnsurePatternValid(string) error { return nil }
