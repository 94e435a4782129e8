package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
)

// filledVariable names the descriptor of which the gate's reply is read that the first content is in the workspace.
const filledVariable = "PAUDE_FILLED"

// filled gives nothing where that is there already, else a channel that says when it is.
func filled() <-chan error {
	descriptor := os.Getenv(filledVariable)
	if descriptor == "" {
		return nil
	}
	found := make(chan error, 1)
	go func() {
		number, err := strconv.Atoi(descriptor)
		if err == nil {
			err = reply(os.NewFile(uintptr(number), "gate"))
		}
		found <- err
	}()
	return found
}

func reply(gate io.ReadCloser) error {
	defer gate.Close()
	var reply struct {
		Code  int
		Error string
	}
	if err := json.NewDecoder(gate).Decode(&reply); err != nil {
		return fmt.Errorf("the gate does not say that the workspace is filled: %w", err)
	}
	if reply.Code != 0 {
		return errors.New(reply.Error)
	}
	return nil
}
