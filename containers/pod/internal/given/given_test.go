package given

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestOnlyVariablesAreVariables(t *testing.T) {
	directory := t.TempDir()
	for name, text := range map[string]string{
		"env.A": "one\n", "env.B_2": "two words", "env.9": "no", "env.A=B": "no", "adc.json": "{}", "env.": "no",
	} {
		if err := os.WriteFile(filepath.Join(directory, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := environment(directory); !slices.Equal(got, []string{"A=one", "B_2=two words"}) {
		t.Fatalf("%q", got)
	}
	if got := environment(filepath.Join(directory, "none")); got != nil {
		t.Fatalf("%q", got)
	}
}

func TestTheUsersAuthoritiesComeBesideTheSystems(t *testing.T) {
	directory := t.TempDir()
	system, bundle := filepath.Join(directory, "system"), filepath.Join(directory, "bundle")
	if trust, err := Trust(system, directory, bundle); trust != nil || err != nil {
		t.Fatalf("without any: %v, %v", trust, err)
	}
	_ = os.WriteFile(system, []byte("SYSTEM"), 0o600)
	_ = os.WriteFile(filepath.Join(directory, "ca.pem"), []byte("OWN"), 0o600)
	trust, err := Trust(system, directory, bundle)
	if err != nil || !slices.Contains(trust, "SSL_CERT_FILE="+bundle) {
		t.Fatalf("%v, %v", trust, err)
	}
	if text, _ := os.ReadFile(bundle); string(text) != "SYSTEM\nOWN" {
		t.Fatalf("%q", text)
	}
}
