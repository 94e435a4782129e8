package agent

import (
	"slices"
	"strings"
	"testing"
)

func TestTheFirstBranchAtHeadIsTheCurrentOne(t *testing.T) {
	for _, one := range []struct{ heads, commit, branch string }{
		{"aa refs/heads/work\nbb refs/heads/main\naa HEAD\n", "aa", "refs/heads/work"},
		{"aa refs/heads/b\naa refs/heads/a\naa HEAD\n", "aa", "refs/heads/b"},
		{"bb refs/heads/main\naa HEAD\n", "aa", ""},
		{"bb refs/tags/v1\nbb refs/heads/main\n", "bb", "refs/heads/main"},
		{"", "", ""},
	} {
		commit, branch := headOf(one.heads)
		if commit != one.commit || branch != one.branch {
			t.Errorf("%q: %q %q", one.heads, commit, branch)
		}
	}
}

func TestTheEndsOfAShallowHistoryAreCommitsAndNothingElse(t *testing.T) {
	id := strings.Repeat("ab", 20)
	heads := id + " HEAD\n" + id + " refs/paude/shallow/0\n" + "../x refs/paude/shallow/1\n" + id + " refs/heads/paude/shallow/2\n"
	if ends := shallowEnds(heads); !slices.Equal(ends, []string{id}) {
		t.Errorf("%q", ends)
	}
}
