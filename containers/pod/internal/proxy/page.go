package proxy

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

const hashLength = 12

// writeFencePage makes the page that squid answers the fence's question with.
func writeFencePage() error {
	resolv, err := os.Open("/etc/resolv.conf")
	if err != nil {
		return err
	}
	defer resolv.Close()
	name, err := listName()
	if err != nil {
		return err
	}
	text, err := json.Marshal(map[string]any{"resolvers": resolvers(resolv), "allowlist": name})
	if err != nil {
		return err
	}
	pages := filepath.Join(runtime, "errors")
	if err = os.MkdirAll(pages, 0o775); err != nil {
		return err
	}
	// squid expands words that begin with %.
	page := strings.ReplaceAll(string(text), "%", "%%") + "\n"
	return os.WriteFile(filepath.Join(pages, "ERR_FENCE"), []byte(page), 0o664)
}

// listName is the name under which the allowlist is known; without one it is made from the list.
func listName() (string, error) {
	if name := os.Getenv("PAUDE_ALLOWLIST"); name != "" {
		return name, nil
	}
	text, err := os.ReadFile(allowlist)
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])[:hashLength], err
}

func resolvers(resolv io.Reader) []string {
	found := []string{}
	lines := bufio.NewScanner(resolv)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) < 2 || words[0] != "nameserver" {
			continue
		}
		if _, err := netip.ParseAddr(words[1]); err == nil {
			found = append(found, words[1])
		}
	}
	return found
}
