package agent

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestTheCompanysAuthoritiesStandBesideTheImages(t *testing.T) {
	place := t.TempDir()
	image, joined := filepath.Join(place, "image.crt"), filepath.Join(place, "joined.crt")
	if found, err := trust(place, image, joined); err != nil || found != nil {
		t.Fatalf("%v, %v: without a bundle nothing is set", found, err)
	}
	for name, text := range map[string]string{image: "PUBLIC", filepath.Join(place, companyTrust): "COMPANY"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	found, err := trust(place, image, joined)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(joined)
	if err != nil || !strings.Contains(string(text), "PUBLIC\nCOMPANY") {
		t.Fatalf("%s, %v", text, err)
	}
	for _, wanted := range []string{"SSL_CERT_FILE=" + joined, "NODE_EXTRA_CA_CERTS=" + filepath.Join(place, companyTrust)} {
		if !slices.Contains(found, wanted) {
			t.Errorf("%s is missing in %v", wanted, found)
		}
	}
}
