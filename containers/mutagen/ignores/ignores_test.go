package ignores

import (
	_ "embed"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/mutagen-io/mutagen/pkg/synchronization/core/ignore"
	mutagenignore "github.com/mutagen-io/mutagen/pkg/synchronization/core/ignore/mutagen"
)

// ours are the patterns of a workspace without rules of its own.
//
//go:embed testdata/patterns
var ours string

// git's are such as people write, in the form that paude gives them.
var gits = strings.Fields(`
*.py[cod] *$py.class *.so build/ dist/ /lib/ *.egg-info/ .coverage .coverage.* *.log npm-debug.log* *.log.* [Bb]in/ [Oo]bj/
*~ .*.sw[a-p] *.sw? [._]*.s[a-v][a-z] *.o *.[oa] *.so.[0-9]* **/target/ /docs/_build/ docs/**/*.tmp /packages/web/**/dist/
/packages/web/* !/packages/web/src !/packages/web/src/** !keep.log Thumbs.db ._* *test* \#*\# \!important /a/b/c.d/e !*.go
/a[^b]* /src/ba[^\-c]* /src/?* /src/a /a\[b\]/c\*`)

const many = "[a-z][a-z][a-z]x"

// sameAsMutagens compares the answers about these paths, and gives how many of them were ignored or released.
func sameAsMutagens(t testing.TB, patterns []string, paths ...string) int {
	t.Helper()
	theirs, expected := mutagenignore.NewIgnorer(patterns)
	found, err := New(patterns)
	if fmt.Sprint(err) != fmt.Sprint(expected) {
		t.Fatalf("%q: %v instead of %v", patterns, err, expected)
	}
	if err != nil {
		return 0
	}
	decided := 0
	for _, path := range paths {
		for _, directory := range []bool{false, true} {
			status, more := found.Ignore(path, directory)
			known, always := theirs.Ignore(path, directory)
			if status != known || more != always {
				t.Fatalf("%q of %q (%v): %v %v instead of %v %v", path, patterns, directory, status, more, known, always)
			}
			if known != ignore.IgnoreStatusNominal {
				decided++
			}
		}
	}
	return decided
}

func TestTheLastPatternThatMatchesDecides(t *testing.T) {
	for _, c := range []struct {
		patterns, path string
		status         ignore.IgnoreStatus
	}{
		{"*.log !keep.log", "a/keep.log", ignore.IgnoreStatusUnignored},
		{"!keep.log *.log", "a/keep.log", ignore.IgnoreStatusIgnored},
		{"a !a a", "a", ignore.IgnoreStatusIgnored},
		{"* !/a/b", "a/b", ignore.IgnoreStatusUnignored},
		{"!/a/b *", "a/b", ignore.IgnoreStatusIgnored},
		{"A.log", "a.log", ignore.IgnoreStatusNominal},
		{"build/", "build", ignore.IgnoreStatusNominal},
	} {
		patterns := strings.Fields(c.patterns)
		found, err := New(patterns)
		if err != nil {
			t.Fatal(err)
		}
		if status, _ := found.Ignore(c.path, false); status != c.status {
			t.Errorf("%q of %q: %v", c.path, patterns, status)
		}
		sameAsMutagens(t, patterns, c.path)
	}
}

func TestAnswersAreMutagens(t *testing.T) {
	for _, c := range []struct{ patterns, paths string }{
		{"a/**", "a a/b a/b/c ba b/a"},
		{"a/**/b", "a/b a/x/b a/x/y/b a b x/a/b"},
		{"**/b", "b a/b a/c/b bb"},
		{"/a", "a b/a"},
		{"a[^x]b", "a/b ayb axb c/a/b"},
		{"[!a]b/", "xb c/xb /b"},
		{"a[^x]b c[^x]", "x/a/b a/b/c c/d/c cc/c x/cd"},
		{"a**/b a/**c **a**", "ax/b a/b a/xc a/x/c xax x/xax"},
		{"a{b,c/d}e", "abe ac/de x/abe"},
		{"{a,}", "a b x/a"},
		{"[z-a] [a-cx]y", "z a zy by xy cy dy"},
		{"**.log", "a.log b/a.log"},
		{"***a a** a**b", "a xa b/xa ab a/b"},
		{"é*.É", "é.É e/éa.É é.é"},
		{"*\ufffd b\xff", "\xfe b\xfe b\ufffd a\xc3"},
		{"\\a\\B\\*", "aB* ab* AB* x/aB*"},
		{"././a//b/../c/", "a/c a a/c/d"},
		{"..", ".. a/.."},
		{"/. ./", ". a"},
		{"a", "a/ b/a/ / //"},
		{"a?c", "a/c abc a\xffc aéc"},
		{"!!a", "!a a"},
		{many, "abcx b/abcx abx"},
		{ours, "a.env .ENV x/.Env.Example id_rsa a.pub terraform.tfstate.1 node_modules a/.git CVS"},
		{strings.Join(gits, " "), "a.pyc bin Bin x.log.1 .a.swp a.swx lib docs/x/y.tmp packages/web/src packages/web/x keep.log !important a/b/c.d/e src/bax"},
	} {
		sameAsMutagens(t, strings.Fields(c.patterns), append(strings.Fields(c.paths), "")...)
	}
}

func TestErrorsAreMutagens(t *testing.T) {
	for _, pattern := range []string{"", "!", "/", "//", "!/", "[", "[]", "a{b", "a\\", "!a/\\"} {
		if _, err := New([]string{"fine", pattern}); err == nil {
			t.Errorf("%q is taken", pattern)
		}
		sameAsMutagens(t, []string{"fine", pattern})
	}
}

func TestOfPaudesOwnPatternsNoneIsTriedOnEveryPath(t *testing.T) {
	for _, pattern := range strings.Fields(ours) {
		if keysOf(pattern) == nil {
			t.Errorf("%q is", pattern)
		}
	}
}

func TestClassesAreNotSpelledOutWithoutEnd(t *testing.T) {
	if found := len(keysOf(many)); found > mostKeys {
		t.Errorf("%d keys", found)
	}
}

func TestKeys(t *testing.T) {
	for pattern, expected := range map[string]string{
		"Name/":           "/name/",
		"!*.Ext":          ".ext/",
		"*.py[cod]":       ".pyc/ .pyo/ .pyd/",
		"[bB]eg*":         "/beg",
		"*.in.*":          ".in.",
		"/a/b.c":          "/a/b.c/",
		"/a/**/node":      "/node/",
		"/a/**/*.x":       ".x/",
		"/dir/*":          "/dir/",
		"/dir/**":         "/dir/",
		"/dir/begin*":     "/dir/begin",
		"/dir/be[^g]*":    "/dir/be",
		"/long/name/a*.c": "/long/name/a",
		"*.s[a-b][a-b]":   ".saa/ .sab/ .sba/ .sbb/",
		"*":               "",
		"/?x/**":          "",
		"b[^x]":           "/b",
		"[^x]b":           "",
		"{a,b}":           "",
	} {
		if found := strings.Join(keysOf(pattern), " "); found != expected {
			t.Errorf("%q: %q instead of %q", pattern, found, expected)
		}
	}
}

var pieces = []string{
	"a", "b", "ab", "A", "B", "x", "é", "É", "日", "\xff", "\ufffd", ".", "..", ".log", ".py", "-", "_", "name", "Name", "src",
	"/", "/", "/", "/", "\x00", " ", ",", "]", "}", "!", "^", "*", "?", "[", "{", "\\",
}

var wildcards = []string{
	"*", "*", "*", "**", "**/", "/**/", "/**", "?", "[a-z]", "[A-Z]", "[ab]", "[aA]", "[^a]", "[!b]", "[a-]", "[]a]", "[\\]a]", "[z-a]",
	"[--0]", "[é-ü]", "[a/b]", "[.]", "[a-cx-z]", "{a,b}", "{a,b/c,}", "{**,a}", "{a*,{b,c}}", "\\*", "\\a", "\\/", "\\[", "\\!",
}

func some(r *rand.Rand, from ...[]string) string {
	all := from[r.Intn(len(from))]
	text := ""
	for range 1 + r.Intn(5) {
		text += all[r.Intn(len(all))]
		all = from[r.Intn(len(from))]
	}
	return text
}

func pattern(r *rand.Rand) string {
	front := []string{"", "", "", "!", "!", "/", "!/", "**/"}[r.Intn(8)]
	return front + some(r, pieces[:24], pieces[:24], pieces, wildcards) + []string{"", "", "", "/", "/*", "/**"}[r.Intn(6)]
}

// resembling is a path made of what patterns are made of.
func resembling(r *rand.Rand, patterns []string) string {
	if len(patterns) == 0 || r.Intn(3) == 0 {
		return some(r, pieces)
	}
	chosen := strings.Trim(patterns[r.Intn(len(patterns))], "!/")
	for _, one := range wildcards {
		chosen = strings.ReplaceAll(chosen, one, []string{"", "a", "b", "ab/", "x/y", "Z"}[r.Intn(6)])
	}
	return []string{"", "", "a/", "a/b/"}[r.Intn(4)] + chosen + []string{"", "", "", "/a", "x"}[r.Intn(5)]
}

func TestManyPatternsAnswerAsMutagens(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	decided, asked := 0, 0
	for range 5_000 {
		var patterns []string
		for range r.Intn(12) {
			if one := pattern(r); mutagenignore.EnsurePatternValid(one) == nil {
				patterns = append(patterns, one)
			}
		}
		if r.Intn(10) == 0 {
			patterns = slices.Concat(strings.Fields(ours), patterns, gits)
		}
		var paths []string
		for range 20 {
			paths = append(paths, resembling(r, patterns))
		}
		decided += sameAsMutagens(t, patterns, paths...)
		asked += 2 * len(paths)
	}
	if decided < asked/5 || decided > asked*4/5 {
		t.Errorf("of %d answers %d were more than nothing: that proves little", asked, decided)
	}
}

func FuzzSameAsMutagens(f *testing.F) {
	f.Add(ours, "src/.env.example")
	f.Add(strings.Join(gits, "\n"), "packages/web/src/x.pyc")
	r := rand.New(rand.NewSource(2))
	for range 100 {
		list := []string{pattern(r), pattern(r), pattern(r)}
		f.Add(strings.Join(list, "\n"), resembling(r, list))
	}
	f.Fuzz(func(t *testing.T, list, path string) {
		patterns := strings.Split(list, "\n")
		sameAsMutagens(t, patterns, path)
		for _, one := range patterns { // of many, one that cannot be read is enough
			sameAsMutagens(t, []string{one}, path)
		}
	})
}

// tree gives paths like those of a web project.
func tree(count int) []string {
	r := rand.New(rand.NewSource(3))
	words := strings.Fields("src lib tests components api models utils internal server client Button index main helpers config auth user order view")
	endings := strings.Fields(".py .ts .tsx .go .json .md .css .svg .test.ts .d.ts .yaml .html")
	var paths []string
	for range count {
		var parts []string
		for range 1 + r.Intn(5) {
			parts = append(parts, words[r.Intn(len(words))])
		}
		paths = append(paths, strings.Join(parts, "/")+fmt.Sprint(r.Intn(100))+endings[r.Intn(len(endings))])
	}
	return paths
}

func BenchmarkIgnore(b *testing.B) {
	paths := tree(10_000)
	theirs := func(patterns []string) (ignore.Ignorer, error) { return mutagenignore.NewIgnorer(patterns) }
	for _, rules := range []struct {
		name     string
		patterns []string
	}{{"paude", strings.Fields(ours)}, {"paude and git", slices.Concat(strings.Fields(ours), gits)}} {
		for _, maker := range []struct {
			name string
			make func([]string) (ignore.Ignorer, error)
		}{{"ours", New}, {"mutagen", theirs}} {
			b.Run(rules.name+"/"+maker.name, func(b *testing.B) {
				ignorer, err := maker.make(rules.patterns)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportAllocs()
				for b.Loop() {
					for _, path := range paths {
						ignorer.Ignore(path, false)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(paths)), "ns/path")
			})
		}
	}
}
