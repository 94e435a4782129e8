package relay

import (
	"os"
	"path/filepath"
	"strings"
)

// turns is the file in which the proxies of a session write themselves down, one a line, as each takes the session over.
type turns string

func turnsIn(directory string) turns { return turns(filepath.Join(directory, "turns")) }

// over tells whether this proxy had the session, and another one has it now.
func (t turns) over(turn string) bool {
	taken := t.read()
	if turn == "" || len(taken) == 0 || taken[len(taken)-1] == turn {
		return false
	}
	for _, one := range taken {
		if one == turn {
			return true
		}
	}
	return false
}

func (t turns) take(turn string) error {
	taken := t.read()
	if turn == "" || (len(taken) > 0 && taken[len(taken)-1] == turn) {
		return nil
	}
	file, err := os.OpenFile(string(t), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o664)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = file.WriteString(turn + "\n")
	return err
}

func (t turns) read() []string {
	text, _ := os.ReadFile(string(t))
	return strings.Fields(string(text))
}
