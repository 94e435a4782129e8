package main

import (
	"errors"
	"net"
	"time"

	"github.com/mutagen-io/mutagen/pkg/daemon"
)

const (
	startLimit = 20 * time.Second
	startPause = 5 * time.Millisecond
)

// awaitSocket returns when something answers on the daemon's socket; nothing does on one that a dead daemon left.
func awaitSocket() error {
	path, err := daemon.EndpointPath()
	if err != nil {
		return err
	}
	for end := time.Now().Add(startLimit); time.Now().Before(end); time.Sleep(startPause) {
		if connection, err := net.Dial("unix", path); err == nil {
			return connection.Close()
		}
	}
	return errors.New("the daemon's socket does not answer")
}
