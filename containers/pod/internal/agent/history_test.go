package agent

import "testing"

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
