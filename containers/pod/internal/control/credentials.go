package control

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"

	"paude/pod/internal/paths"
	"paude/pod/internal/say"
)

const largestLogin = 64 << 10

// takeCredentials keeps the login on stdin in this container's memory, and says whether a token can be had with it.
func takeCredentials() int {
	if err := keepLogin(os.Stdin); err != nil {
		say.Line("credentials: %v", err)
		return exitFailed
	}
	return tell("credentials", "")
}

func keepLogin(stream io.Reader) error {
	text, err := io.ReadAll(io.LimitReader(stream, largestLogin+1))
	if err != nil {
		return err
	}
	if len(text) > largestLogin || !json.Valid(text) {
		return errors.New("this is no file of credentials")
	}
	if err = os.MkdirAll(paths.Renewed, 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(paths.Renewed, ".login.") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	_, err = file.Write(text)
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Rename(file.Name(), filepath.Join(paths.Renewed, paths.Login))
}
