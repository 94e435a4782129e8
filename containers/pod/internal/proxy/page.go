package proxy

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// The allowlist's first line is `# HASH12`, the name under which the proxy serves it.
var firstLine = regexp.MustCompile(`^# ([0-9a-f]{12})\r?\n`)

func listName() (string, error) {
	text, err := os.ReadFile(allowlist)
	if err != nil {
		return "", err
	}
	match := firstLine.FindSubmatch(text)
	if match == nil {
		return "", fmt.Errorf("%s does not begin with its name", allowlist)
	}
	return string(match[1]), nil
}

// writeFencePage makes the page that squid answers the fence's question with.
func writeFencePage(list string) error {
	resolv, err := os.Open("/etc/resolv.conf")
	if err != nil {
		return err
	}
	defer resolv.Close()
	page := map[string]any{"resolvers": resolvers(resolv), "addresses": addresses(), "allowlist": list}
	text, err := json.Marshal(page)
	if err != nil {
		return err
	}
	pages := filepath.Join(runtime, "errors")
	if err = os.MkdirAll(pages, 0o775); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(pages, "ERR_FENCE"), append(text, '\n'), 0o664)
}

// addresses are those of this pod: the fence's probes aim at each, so that no address family is forgotten.
func addresses() []string {
	found := []string{}
	all, err := net.InterfaceAddrs()
	if err != nil {
		return found
	}
	for _, one := range all {
		if prefix, ok := one.(*net.IPNet); ok && prefix.IP.IsGlobalUnicast() {
			found = append(found, prefix.IP.String())
		}
	}
	return found
}

// resolvers leaves out an address with a zone: no other pod has that link, and squid would expand the `%` in its page.
func resolvers(resolv io.Reader) []string {
	found := []string{}
	lines := bufio.NewScanner(resolv)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) < 2 || words[0] != "nameserver" {
			continue
		}
		if address, err := netip.ParseAddr(words[1]); err == nil && address.Zone() == "" {
			found = append(found, words[1])
		}
	}
	return found
}
