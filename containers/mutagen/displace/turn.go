package displace

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/mutagen-io/mutagen/pkg/filesystem"
	"golang.org/x/sys/unix"
)

// patience is how long the mover of an earlier connection may need to end what it has begun.
const patience = 30 * time.Second

// ErrSuperseded is given to the mover of an earlier connection: one that was lost without a word leaves it behind, and
// what the other side had asked of it may still arrive.
var ErrSuperseded = errors.New("a newer connection of this session has taken over")

// turn lets one mover of a session work at a time, and of all only the newest. The lock of its file says who works, its
// content who is the newest.
type turn struct {
	path  string
	token string
}

func newTurn(session string) (turn, error) {
	directory, err := filesystem.Mutagen(true, "displaced")
	return turn{filepath.Join(directory, session+".turn"), rand.Text()}, err
}

// claim makes this mover the newest, once nobody is at work; what it returns ends its turn.
func (t turn) claim(ctx context.Context) (io.Closer, error) {
	file, err := t.locked(ctx)
	if err != nil {
		return nil, err
	}
	if err = errors.Join(file.Truncate(0), writeAt(file, t.token)); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// take gives the newest mover its turn, and ErrSuperseded to every other.
func (t turn) take(ctx context.Context) (io.Closer, error) {
	file, err := t.locked(ctx)
	if err != nil {
		return nil, err
	}
	newest, err := io.ReadAll(file)
	if err == nil && string(newest) != t.token {
		err = ErrSuperseded
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// locked gives the file once no other has its lock. It is opened each time, because a lock belongs to an open file.
func (t turn) locked(ctx context.Context) (*os.File, error) {
	file, err := os.OpenFile(t.path, os.O_RDWR|os.O_CREATE, 0o660)
	if err != nil {
		return nil, err
	}
	err = lock(file, unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return wait(ctx, file)
	}
	return opened(file, err)
}

func wait(ctx context.Context, file *os.File) (*os.File, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	got := make(chan error, 1)
	go func() { got <- lock(file, 0) }()
	select {
	case err := <-got:
		return opened(file, err)
	case <-ctx.Done():
		go func() { // nothing calls back who waits for a lock
			<-got
			file.Close()
		}()
		return nil, fmt.Errorf("an earlier connection of this session is still at work: %w", ctx.Err())
	}
}

func opened(file *os.File, err error) (*os.File, error) {
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// lock takes the lock. Where the file system has none, the content of the file alone decides.
func lock(file *os.File, how int) error {
	for {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|how)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.ENOLCK), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EOPNOTSUPP):
			return nil
		default:
			return err
		}
	}
}

func writeAt(file *os.File, text string) error {
	_, err := file.WriteAt([]byte(text), 0)
	return err
}
