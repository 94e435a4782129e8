// Package await waits for files to come and go.
package await

import (
	"context"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Some file systems (gVisor's) tell nothing about changes made by another container, and the number of watches is
// limited per user, so every wait looks for itself now and then.
const look = 500 * time.Millisecond

// Until returns when true() holds, and asks whenever an entry of directory comes or goes. It returns the context's
// error when that ends first. The watch is armed before the first look: no change is lost between.
func Until(ctx context.Context, directory string, holds func() bool) error {
	changes, stop := watch(directory)
	defer stop()
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changes:
		case <-ticker.C:
		}
	}
	return nil
}

// File returns when there is a file at directory/name.
func File(ctx context.Context, directory, path string) error {
	return Until(ctx, directory, func() bool { return exists(path) })
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func watch(directory string) (<-chan struct{}, func()) {
	changes := make(chan struct{}, 1)
	descriptor, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return changes, func() {}
	}
	file := os.NewFile(uintptr(descriptor), "inotify")
	mask := uint32(unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM)
	if _, err = unix.InotifyAddWatch(descriptor, directory, mask); err != nil {
		file.Close()
		return changes, func() {}
	}
	go forward(file, changes)
	return changes, func() { file.Close() }
}

func forward(file *os.File, changes chan<- struct{}) {
	buffer := make([]byte, 4096)
	for {
		if _, err := file.Read(buffer); err != nil {
			return
		}
		select {
		case changes <- struct{}{}:
		default:
		}
	}
}
