package metadata

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"
)

const (
	patience = 20 * time.Second
	largest  = 64 << 10
)

// asker speaks to token services, through the session's proxy.
type asker struct {
	client *http.Client
}

// newAsker trusts the system's authorities, and those of the file `authorities` when there is one.
func newAsker(proxy, authorities string) asker {
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if more, err := os.ReadFile(authorities); err == nil {
		roots.AppendCertsFromPEM(more)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}
	if proxy != "" {
		transport.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: proxy})
	}
	return asker{&http.Client{
		Transport: transport,
		Timeout:   patience,
		// A long-lived secret goes to the address that the file names, and to no other.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// form asks an OAuth token service (RFC 6749, 5.1).
func (a asker) form(ctx context.Context, address string, values url.Values) (token, error) {
	var answer struct {
		Token  string  `json:"access_token"`
		Within float64 `json:"expires_in"`
	}
	begun := time.Now()
	body := strings.NewReader(values.Encode())
	if err := a.post(ctx, address, "application/x-www-form-urlencoded", "", body, &answer); err != nil {
		return token{}, err
	}
	return checked(answer.Token, begun.Add(time.Duration(answer.Within*float64(time.Second))))
}

// account asks for a service account's token with somebody else's.
// https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateAccessToken
func (a asker) account(ctx context.Context, address, bearer string, wish any) (token, error) {
	var answer struct {
		Token   string    `json:"accessToken"`
		Expires time.Time `json:"expireTime"`
	}
	text, err := json.Marshal(wish)
	if err != nil {
		return token{}, err
	}
	if err = a.post(ctx, address, "application/json", bearer, bytes.NewReader(text), &answer); err != nil {
		return token{}, err
	}
	return checked(answer.Token, answer.Expires)
}

func (a asker) post(ctx context.Context, address, kind, bearer string, body io.Reader, into any) error {
	to, err := url.Parse(address)
	if err != nil || to.Scheme != "https" || to.Host == "" {
		return errors.New("the credentials name no HTTPS address to refresh them at")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, body)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", kind)
	if bearer != "" {
		request.Header.Set("Authorization", "Bearer "+bearer)
	}
	response, err := a.client.Do(request)
	if err != nil {
		return fmt.Errorf("%s cannot be reached: %w", to.Host, errors.Unwrap(err))
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, largest))
	if err != nil {
		return fmt.Errorf("%s: %w", to.Host, err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s refuses: %s", to.Host, refusal(response.StatusCode, text))
	}
	if json.Unmarshal(text, into) != nil {
		return fmt.Errorf("%s answers no JSON", to.Host)
	}
	return nil
}

var plain = regexp.MustCompile(`^[a-zA-Z0-9_ -]{1,60}$`)

// refusal is the status and the code of the error, which is one of a known set, and nothing else that came: it could
// repeat what was sent.
func refusal(status int, text []byte) string {
	var said struct {
		Error any `json:"error"`
	}
	_ = json.Unmarshal(text, &said)
	if code, isText := said.Error.(string); isText && plain.MatchString(code) {
		return fmt.Sprintf("%d %s", status, code)
	}
	return fmt.Sprintf("%d %s", status, http.StatusText(status))
}

func checked(value string, expires time.Time) (token, error) {
	if value == "" || strings.ContainsAny(value, "\r\n") || !expires.After(time.Now()) {
		return token{}, errors.New("the answer holds no token that is good for a while")
	}
	return token{value, expires}, nil
}
