package fence

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"time"
)

// Answer is what the proxy says about itself.
type Answer struct {
	Resolvers []string `json:"resolvers"`
	Addresses []string `json:"addresses"` // of its pod, one a family
	Allowlist string   `json:"allowlist"`
}

const (
	askTime   = 2 * time.Second
	askLimit  = 64 << 10
	retry     = 50 * time.Millisecond
	mostNames = 8
)

// The proxy answers for this name itself, with 403, and looks up nothing.
const request = "GET http://fence.paude.invalid/ HTTP/1.1\r\nHost: fence.paude.invalid\r\nConnection: close\r\n\r\n"

// Ask is the question that the proxy at an address answers itself.
func Ask(ctx context.Context, proxy string) (*Answer, error) { return ask(ctx, proxy) }

// Answered returns when the proxy answers, or after as long as one question may take. A pair of rounds that begins
// before that proves nothing, and the next one begins later than it could.
func (s Settings) Answered(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	for {
		if _, err := ask(ctx, s.Proxy); err == nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(retry):
		}
	}
}

// ask proves that the way to the proxy is open: the control without which "nothing else answers" means nothing.
func ask(ctx context.Context, proxy string) (*Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(proxy, proxyPort))
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(askTime))
	if _, err = io.WriteString(connection, request); err != nil {
		return nil, err
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	return parseAnswer(response.StatusCode, response.Body)
}

func parseAnswer(status int, body io.Reader) (*Answer, error) {
	if status != http.StatusForbidden {
		return nil, fmt.Errorf("the proxy answers %d where 403 is due", status)
	}
	var answer Answer
	if err := json.NewDecoder(io.LimitReader(body, askLimit)).Decode(&answer); err != nil {
		return nil, fmt.Errorf("the proxy's answer: %w", err)
	}
	answer.Resolvers = answer.Resolvers[:min(len(answer.Resolvers), mostNames)]
	answer.Addresses = answer.Addresses[:min(len(answer.Addresses), mostNames)]
	for _, one := range slices.Concat(answer.Resolvers, answer.Addresses) {
		if _, err := netip.ParseAddr(one); err != nil {
			return nil, fmt.Errorf("the proxy names an address: %w", err)
		}
	}
	return &answer, nil
}
