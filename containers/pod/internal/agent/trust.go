package agent

import (
	"os"
	"path/filepath"

	"paude/pod/internal/paths"
)

const (
	companyTrust = paths.Authorities
	imageTrust   = "/etc/ssl/certs/ca-certificates.crt"
	joinedTrust  = paths.Private + "/ca-bundle.crt"
)

// Most clients take a bundle in place of the system's, Node one beside it.
var (
	joinedVariables = []string{
		"SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "PIP_CERT", "GIT_SSL_CAINFO", "CARGO_HTTP_CAINFO",
		"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", "NPM_CONFIG_CAFILE",
	}
	besideVariable = "NODE_EXTRA_CA_CERTS"
)

// trust joins the company's authorities with the image's, and gives the variables by which clients find them.
func trust(secrets, image, joined string) ([]string, error) {
	company := filepath.Join(secrets, companyTrust)
	own, err := os.ReadFile(company)
	if err != nil {
		return nil, nil // the session has none
	}
	public, err := os.ReadFile(image)
	if err != nil {
		public = nil // an image without any trusts the company's alone
	}
	if err = os.WriteFile(joined, append(append(public, '\n'), own...), 0o644); err != nil {
		return nil, err
	}
	found := []string{besideVariable + "=" + company}
	for _, name := range joinedVariables {
		found = append(found, name+"="+joined)
	}
	return found, nil
}
