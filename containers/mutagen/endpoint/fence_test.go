package endpoint

import (
	"strings"
	"testing"

	"paude/sync/repository"
)

func at(ref string, number string) repository.Head {
	if ref != "" {
		ref = "refs/heads/" + ref
	}
	return repository.Head{Ref: ref, Commit: strings.Repeat(number, 40)}
}

func TestTheFenceIsShutFromASwitchToTheSameBranchOnBothSides(t *testing.T) {
	none := repository.Head{}
	for _, c := range []struct {
		name        string
		laptop, pod []repository.Head
		shut        string
	}{
		{"nothing is switched", []repository.Head{at("main", "1"), at("main", "1")}, []repository.Head{at("main", "1"), at("main", "1")}, "oo"},
		{"a commit on either side", []repository.Head{at("main", "1"), at("main", "2")}, []repository.Head{at("main", "1"), at("main", "3")}, "oo"},
		{"a switch there and back", []repository.Head{at("main", "1"), at("b", "2"), at("b", "2"), at("main", "1")}, []repository.Head{at("main", "1"), at("main", "1"), at("main", "1"), at("main", "1")}, "oxxo"},
		{"the other side follows", []repository.Head{at("main", "1"), at("b", "2"), at("b", "2")}, []repository.Head{at("main", "1"), at("main", "1"), at("b", "3")}, "oxo"},
		{"a new branch from here", []repository.Head{at("main", "1"), at("main", "1")}, []repository.Head{at("main", "1"), at("new", "1")}, "oo"},
		{"and commits on it", []repository.Head{at("main", "1"), at("main", "1")}, []repository.Head{at("new", "1"), at("new", "2")}, "oo"},
		{"a detached head moves", []repository.Head{at("main", "1"), at("", "2"), at("", "3"), at("main", "1")}, []repository.Head{at("main", "1"), at("main", "1"), at("main", "1"), at("main", "1")}, "oxxo"},
		{"no repository there", []repository.Head{at("main", "1"), at("b", "2")}, []repository.Head{none, none}, "oo"},
		{"they began apart", []repository.Head{at("a", "1"), at("a", "1")}, []repository.Head{at("b", "2"), at("b", "2")}, "oo"},
	} {
		f := &fence{}
		for i := range c.laptop {
			why := f.look(c.laptop[i], c.pod[i])
			if (why != "") != (c.shut[i] == 'x') {
				t.Errorf("%s, look %d: %q", c.name, i, why)
			}
		}
	}
}

func TestAFenceThatWasShutStaysSoAfterANewStart(t *testing.T) {
	f := &fence{shut: true}
	if f.look(at("a", "1"), at("b", "2")) == "" {
		t.Error("it is open")
	}
	if f.look(at("a", "1"), at("a", "2")) != "" {
		t.Error("it stays shut")
	}
}
