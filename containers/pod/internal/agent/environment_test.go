package agent

import (
	"slices"
	"testing"
)

func TestChildrenLearnNothingOfTheCluster(t *testing.T) {
	got := environment([]string{
		"PAUDE_SESSION=demo", "PAUDE_PROXY=10.0.0.1", "KUBERNETES_SERVICE_HOST=10.96.0.1", "HTTPS_PROXY=http://10.0.0.1:3128", "TERM=x",
	})
	for _, wanted := range []string{"PAUDE_SESSION=demo", "HTTPS_PROXY=http://10.0.0.1:3128", "TERM=x", "HOME=/home/paude"} {
		if !slices.Contains(got, wanted) {
			t.Errorf("%s is missing in %v", wanted, got)
		}
	}
	for _, unwanted := range []string{"PAUDE_PROXY=10.0.0.1", "KUBERNETES_SERVICE_HOST=10.96.0.1", "TERM=xterm-256color"} {
		if slices.Contains(got, unwanted) {
			t.Errorf("%s is in %v", unwanted, got)
		}
	}
}
