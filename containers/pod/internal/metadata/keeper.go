package metadata

import (
	"context"
	"os"
	"sync"
	"time"
)

// A token is renewed this long before its end, or in the last quarter of a life that is short.
const margin = 5 * time.Minute

// Standing is what the laptop is told.
type Standing struct {
	// Kind is empty when this session has no such credentials.
	Kind    string    `json:"kind"`
	Expires time.Time `json:"expires"`
	Failure string    `json:"failure"`
}

// Keeper holds the long-lived credentials and the token made of them.
type Keeper struct {
	files []string
	ask   asker

	renewing sync.Mutex // held for as long as a token service takes to answer

	mutex   sync.Mutex // of what is known
	now     token
	life    time.Duration
	read    string // the credentials that the token was made of
	failure string
}

// NewKeeper reads the credentials from the newest of `files`, each time it needs them, and asks for tokens through
// `proxy` (HOST:PORT; empty: directly).
func NewKeeper(proxy, authorities string, files ...string) *Keeper {
	return &Keeper{files: files, ask: newAsker(proxy, authorities)}
}

// Token gives one that has some life left, renewed if that takes it. Callers wait for one another: the first renews.
func (k *Keeper) Token(ctx context.Context) (string, time.Time, error) {
	k.renewing.Lock()
	defer k.renewing.Unlock()
	text, err := k.credentials()
	if err != nil {
		return "", time.Time{}, k.failed(err)
	}
	if known, good := k.known(string(text)); good {
		return known.value, known.expires, nil
	}
	found, err := parse(text)
	if err != nil {
		return "", time.Time{}, k.failed(err)
	}
	renewed, err := found.fresh(ctx, k.ask)
	if err != nil {
		return "", time.Time{}, k.failed(err)
	}
	k.keep(renewed, string(text))
	return renewed.value, renewed.expires, nil
}

// known gives the token made of these credentials, and whether it has some life left.
func (k *Keeper) known(credentials string) (token, bool) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	return k.now, k.read == credentials && time.Until(k.now.expires) > min(margin, k.life/4)
}

func (k *Keeper) keep(renewed token, credentials string) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	k.now, k.life, k.read, k.failure = renewed, time.Until(renewed.expires), credentials, ""
}

func (k *Keeper) failed(err error) error {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	k.failure = err.Error()
	return err
}

// Standing tells how it stands. It waits for no token service: the gate's every answer to the laptop has it.
func (k *Keeper) Standing() Standing {
	text, err := k.credentials()
	if err != nil {
		return Standing{}
	}
	found, err := parse(text)
	if err != nil {
		return Standing{Kind: "unknown", Failure: err.Error()}
	}
	k.mutex.Lock()
	defer k.mutex.Unlock()
	return Standing{Kind: found.Type, Expires: k.now.expires, Failure: k.failure}
}

func (k *Keeper) project() string {
	if text, err := k.credentials(); err == nil {
		if found, err := parse(text); err == nil {
			return found.project()
		}
	}
	return ""
}

// credentials are the newest file's: what was renewed later counts, wherever it came in.
func (k *Keeper) credentials() ([]byte, error) {
	newest, written := "", time.Time{}
	for _, file := range k.files {
		if found, err := os.Stat(file); err == nil && (newest == "" || found.ModTime().After(written)) {
			newest, written = file, found.ModTime()
		}
	}
	if newest == "" {
		return nil, os.ErrNotExist
	}
	return os.ReadFile(newest)
}
