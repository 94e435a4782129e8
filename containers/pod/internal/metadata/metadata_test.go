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
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const canary = "long-lived-5ec4e7"

// service is a token service that counts what it gave: T1, T2, …
type service struct {
	*httptest.Server
	mutex sync.Mutex
	given int
	life  int
	heard []url.Values
	posts []*http.Request
	fail  int
}

func newService(t *testing.T) *service {
	made := &service{life: 3600}
	made.Server = httptest.NewTLSServer(http.HandlerFunc(made.answer))
	t.Cleanup(made.Close)
	return made
}

func (s *service) answer(out http.ResponseWriter, request *http.Request) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	body, _ := io.ReadAll(request.Body)
	values, _ := url.ParseQuery(string(body))
	s.heard, s.posts = append(s.heard, values), append(s.posts, request)
	switch {
	case s.fail == http.StatusFound:
		http.Redirect(out, request, "https://elsewhere.test/", s.fail)
	case s.fail != 0:
		out.WriteHeader(s.fail)
		fmt.Fprintf(out, `{"error":"invalid_grant","error_description":"%s"}`, values.Get("refresh_token"))
	default:
		s.given++
		if strings.HasSuffix(request.URL.Path, ":generateAccessToken") {
			until := time.Now().Add(time.Hour).Format(time.RFC3339)
			fmt.Fprintf(out, `{"accessToken":"T%d","expireTime":"%s"}`, s.given, until)
			return
		}
		fmt.Fprintf(out, `{"access_token":"T%d","expires_in":%d,"token_type":"Bearer"}`, s.given, s.life)
	}
}

func (s *service) keeper(t *testing.T, login map[string]any) (*Keeper, string) {
	directory := t.TempDir()
	authorities := filepath.Join(directory, "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if os.WriteFile(authorities, text, 0o600) != nil {
		t.Fatal("no file")
	}
	file := filepath.Join(directory, "adc.json")
	put(t, file, login)
	return NewKeeper("", authorities, file), file
}

func put(t *testing.T, file string, login map[string]any) {
	text, _ := json.Marshal(login)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (s *service) user() map[string]any {
	return map[string]any{
		"type": "authorized_user", "client_id": "i", "client_secret": "s", "refresh_token": canary,
		"token_uri": s.URL + "/token",
	}
}

func wants(t *testing.T, keeper *Keeper, wanted string) {
	t.Helper()
	got, _, err := keeper.Token(context.Background())
	if err != nil || got != wanted {
		t.Fatalf("token %q, %v; wanted %q", got, err, wanted)
	}
}

func TestATokenIsKeptWhileItIsGoodAndRenewedBeforeItsEnd(t *testing.T) {
	service := newService(t)
	keeper, _ := service.keeper(t, service.user())
	wants(t, keeper, "T1")
	wants(t, keeper, "T1")
	keeper.now.expires = time.Now().Add(margin - time.Second)
	wants(t, keeper, "T2")
	if got := service.heard[0]; got.Get("refresh_token") != canary || got.Get("grant_type") != "refresh_token" {
		t.Fatalf("the service heard %v", got)
	}
	if standing := keeper.Standing(); standing.Kind != "authorized_user" || standing.Failure != "" || standing.Expires.IsZero() {
		t.Fatalf("standing %+v", standing)
	}
}

func TestATokenWithAShortLifeIsKeptForThreeQuartersOfIt(t *testing.T) {
	service := newService(t)
	service.life = 40
	keeper, _ := service.keeper(t, service.user())
	wants(t, keeper, "T1")
	wants(t, keeper, "T1")
	keeper.now.expires = time.Now().Add(9 * time.Second)
	wants(t, keeper, "T2")
}

func TestOtherCredentialsMakeAnotherTokenAtOnce(t *testing.T) {
	service := newService(t)
	keeper, file := service.keeper(t, service.user())
	wants(t, keeper, "T1")
	renewed := filepath.Join(t.TempDir(), "adc.json")
	keeper.files = append(keeper.files, renewed)
	wants(t, keeper, "T1")
	login := service.user()
	login["refresh_token"] = "another"
	put(t, renewed, login)
	later := time.Now().Add(time.Minute)
	_ = os.Chtimes(renewed, later, later)
	wants(t, keeper, "T2")
	if service.heard[1].Get("refresh_token") != "another" {
		t.Fatal("the old login was used")
	}
	_ = os.Chtimes(file, later.Add(time.Minute), later.Add(time.Minute))
	wants(t, keeper, "T3")
}

func TestAServiceAccountSigns(t *testing.T) {
	service := newService(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, _ := x509.MarshalPKCS8PrivateKey(key)
	keeper, _ := service.keeper(t, map[string]any{
		"type": "service_account", "client_email": "a@b.test", "private_key_id": "k1", "token_uri": service.URL + "/t",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	})
	wants(t, keeper, "T1")
	parts := strings.Split(service.heard[0].Get("assertion"), ".")
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	signature, _ := base64.RawURLEncoding.DecodeString(parts[2])
	if err = rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, digest[:], signature); err != nil {
		t.Fatal(err)
	}
	var body map[string]any
	text, _ := base64.RawURLEncoding.DecodeString(parts[1])
	_ = json.Unmarshal(text, &body)
	if body["iss"] != "a@b.test" || body["aud"] != service.URL+"/t" || body["scope"] != scope {
		t.Fatalf("signed %v", body)
	}
}

func TestAnImpersonatedAccountIsAskedForWithTheUsersToken(t *testing.T) {
	service := newService(t)
	keeper, _ := service.keeper(t, map[string]any{
		"type": "impersonated_service_account", "source_credentials": service.user(),
		"service_account_impersonation_url": service.URL + "/v1/a@b:generateAccessToken",
	})
	wants(t, keeper, "T2")
	if got := service.posts[1].Header.Get("Authorization"); got != "Bearer T1" {
		t.Fatalf("asked as %q", got)
	}
}

func TestARefusalIsToldWithoutWhatWasSent(t *testing.T) {
	service := newService(t)
	service.fail = http.StatusBadRequest
	keeper, _ := service.keeper(t, service.user())
	_, _, err := keeper.Token(context.Background())
	if err == nil || !strings.Contains(err.Error(), "invalid_grant") || strings.Contains(err.Error(), canary) {
		t.Fatalf("told %v", err)
	}
	if keeper.Standing().Failure != err.Error() {
		t.Fatal("the standing does not tell")
	}
	service.fail = 0
	wants(t, keeper, "T1")
	if keeper.Standing().Failure != "" {
		t.Fatal("the failure stays")
	}
}

func TestASecretIsNotSentElsewhere(t *testing.T) {
	service := newService(t)
	service.fail = http.StatusFound
	keeper, _ := service.keeper(t, service.user())
	if _, _, err := keeper.Token(context.Background()); err == nil || strings.Contains(err.Error(), "elsewhere") {
		t.Fatalf("followed: %v", err)
	}
	login := service.user()
	login["token_uri"] = strings.Replace(service.URL, "https:", "http:", 1)
	keeper, _ = service.keeper(t, login)
	if _, _, err := keeper.Token(context.Background()); err == nil || len(service.heard) != 1 {
		t.Fatalf("sent without TLS: %v", err)
	}
}

func TestItAnswersAsTheServiceDoes(t *testing.T) {
	service := newService(t)
	login := service.user()
	login["quota_project_id"] = "my-project"
	keeper, _ := service.keeper(t, login)
	here := handler(keeper)
	get := func(path string, headers ...string) *httptest.ResponseRecorder {
		request := httptest.NewRequest(http.MethodGet, path, nil)
		for i := 0; i < len(headers); i += 2 {
			request.Header.Set(headers[i], headers[i+1])
		}
		out := httptest.NewRecorder()
		here.ServeHTTP(out, request)
		return out
	}
	if out := get(account + "/token"); out.Code != http.StatusForbidden || len(service.heard) != 0 {
		t.Fatalf("without the header: %d", out.Code)
	}
	if out := get(account+"/token", flavor, google, "X-Forwarded-For", "x"); out.Code != http.StatusForbidden {
		t.Fatalf("forwarded: %d", out.Code)
	}
	out := get(account+"/token", flavor, google)
	var token struct {
		Value  string `json:"access_token"`
		Within int    `json:"expires_in"`
	}
	_ = json.Unmarshal(out.Body.Bytes(), &token)
	if token.Value != "T1" || token.Within < 3500 || token.Within > 3600 {
		t.Fatalf("token %+v", token)
	}
	for path, wanted := range map[string]string{
		"/": "computeMetadata", root + "/instance": "service-accounts", root + "/project/project-id": "my-project",
		account + "/?recursive=true": `"email"`, root + "/universe/universe-domain": "googleapis.com",
	} {
		out := get(path, flavor, google)
		if out.Code != http.StatusOK || !strings.Contains(out.Body.String(), wanted) || out.Header().Get(flavor) != google {
			t.Fatalf("%s: %d %s", path, out.Code, out.Body)
		}
	}
	if out := get(account+"/identity", flavor, google); out.Code != http.StatusNotFound {
		t.Fatalf("identity: %d", out.Code)
	}
}

func TestNothingOfTheLoginIsAnswered(t *testing.T) {
	service := newService(t)
	service.fail = http.StatusBadRequest
	keeper, _ := service.keeper(t, service.user())
	here := handler(keeper)
	for _, path := range []string{"/", root + "/", account + "/", account + "/token", account + "/email", root + "/project/project-id"} {
		request := httptest.NewRequest(http.MethodGet, path, nil)
		request.Header.Set(flavor, google)
		out := httptest.NewRecorder()
		here.ServeHTTP(out, request)
		if strings.Contains(out.Body.String(), canary) {
			t.Fatalf("%s gives the login away", path)
		}
	}
}

func TestHowItStandsIsToldWhileATokenServiceThinks(t *testing.T) {
	asked, told := make(chan struct{}), make(chan struct{})
	slow := &service{Server: httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(asked)
		<-told
	}))}
	defer slow.Close()
	keeper, _ := slow.keeper(t, slow.user())
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	go func() { _, _, _ = keeper.Token(ctx) }()
	<-asked
	standing := keeper.Standing()
	close(told)
	if standing.Kind != "authorized_user" || standing.Failure != "" {
		t.Fatalf("it was waited for: %+v", standing)
	}
}
