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
