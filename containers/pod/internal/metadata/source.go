package metadata

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"time"
)

// The scope of Google's own default login, and what its token service answers under when a file does not say.
const (
	scope       = "https://www.googleapis.com/auth/cloud-platform"
	tokenURI    = "https://oauth2.googleapis.com/token"
	jwtGrant    = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	jwtLifetime = 10 * time.Minute
	lifetime    = time.Hour
)

// login is a file of application-default credentials, of one of the three kinds that need nothing but HTTPS.
// https://google.aip.dev/auth/4110
type login struct {
	Type         string `json:"type"`
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
	RefreshToken string `json:"refresh_token"`
	TokenURI     string `json:"token_uri"`
	Quota        string `json:"quota_project_id"`

	ClientEmail  string `json:"client_email"`
	PrivateKey   string `json:"private_key"`
	PrivateKeyID string `json:"private_key_id"`
	ProjectID    string `json:"project_id"`

	Impersonate string   `json:"service_account_impersonation_url"`
	Delegates   []string `json:"delegates"`
	Source      *login   `json:"source_credentials"`
}

// token is what the agent may have: good for an hour, as a rule.
type token struct {
	value   string
	expires time.Time
}

var errKind = errors.New("the credentials are of no kind that can be refreshed here")

func parse(text []byte) (*login, error) {
	var found login
	if json.Unmarshal(text, &found) != nil { // its error could quote the file
		return nil, errors.New("the credentials are no JSON")
	}
	return &found, nil
}

// fresh asks for a new token.
func (l *login) fresh(ctx context.Context, ask asker) (token, error) {
	switch l.Type {
	case "authorized_user":
		return ask.form(ctx, l.uri(), url.Values{
			"grant_type": {"refresh_token"}, "client_id": {l.ClientID}, "client_secret": {l.ClientSecret},
			"refresh_token": {l.RefreshToken},
		})
	case "service_account":
		assertion, err := l.assertion(time.Now())
		if err != nil {
			return token{}, err
		}
		return ask.form(ctx, l.uri(), url.Values{"grant_type": {jwtGrant}, "assertion": {assertion}})
	case "impersonated_service_account":
		return l.impersonated(ctx, ask)
	}
	return token{}, errKind
}

func (l *login) uri() string {
	if l.TokenURI != "" {
		return l.TokenURI
	}
	return tokenURI
}

func (l *login) impersonated(ctx context.Context, ask asker) (token, error) {
	if l.Source == nil || l.Source.Type == l.Type {
		return token{}, errKind
	}
	own, err := l.Source.fresh(ctx, ask)
	if err != nil {
		return token{}, err
	}
	return ask.account(ctx, l.Impersonate, own.value, map[string]any{
		"delegates": l.Delegates, "scope": []string{scope}, "lifetime": fmt.Sprintf("%.0fs", lifetime.Seconds()),
	})
}

// assertion is what a service account signs to be given a token (RFC 7523).
func (l *login) assertion(now time.Time) (string, error) {
	block, _ := pem.Decode([]byte(l.PrivateKey))
	if block == nil {
		return "", errors.New("the service account's key is no PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, isRSA := parsed.(*rsa.PrivateKey)
	if err != nil || !isRSA {
		return "", errors.New("the service account's key is no RSA key")
	}
	head := map[string]string{"alg": "RS256", "typ": "JWT", "kid": l.PrivateKeyID}
	body := map[string]any{
		"iss": l.ClientEmail, "scope": scope, "aud": l.uri(), "iat": now.Unix(), "exp": now.Add(jwtLifetime).Unix(),
	}
	text := part(head) + "." + part(body)
	digest := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	return text + "." + base64.RawURLEncoding.EncodeToString(signature), err
}

func part(of any) string {
	text, _ := json.Marshal(of)
	return base64.RawURLEncoding.EncodeToString(text)
}

// project is what the file itself says about the project; Claude Code is told by its environment.
func (l *login) project() string {
	if l.ProjectID != "" {
		return l.ProjectID
	}
	return l.Quota
}
