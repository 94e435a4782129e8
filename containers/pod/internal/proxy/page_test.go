package proxy

import (
	"slices"
	"strings"
	"testing"
)

func TestAResolverOfTheLinkIsNoneThatAPodCouldReach(t *testing.T) {
	found := resolvers(strings.NewReader("search a.test\nnameserver fe80::1%wlan0\nnameserver 10.96.0.10\nnameserver 2001:db8::1\n"))
	if !slices.Equal(found, []string{"10.96.0.10", "2001:db8::1"}) {
		t.Fatal(found)
	}
}
