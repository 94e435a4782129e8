package guard

import (
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Fold brings a name into the one form in which names are compared: file systems and tools on the laptop may take
// `.GIT`, `.g\u200cit`, `.git.`, `.git ` and `.git::$INDEX_ALLOCATION` for `.git`.
func Fold(name string) string {
	if plain(name) {
		return name
	}
	name = norm.NFKC.String(strings.Map(visible, norm.NFKD.String(name)))
	name = cases.Fold().String(name)
	if colon := strings.IndexByte(name, ':'); colon > 0 {
		name = name[:colon]
	}
	return strings.TrimRight(name, ". \t")
}

// plain says that folding would change nothing, which is so for nearly every name.
func plain(name string) bool {
	for i := 0; i < len(name); i++ {
		c := name[i]
		if c >= 0x80 || c == ':' || c < 0x20 || (c >= 'A' && c <= 'Z') {
			return false
		}
	}
	return name != "" && name[len(name)-1] != '.' && name[len(name)-1] != ' '
}

// visible drops what file systems or readers ignore: format characters, variation selectors, control characters.
func visible(r rune) rune {
	if unicode.In(r, unicode.Cf, unicode.Cc, unicode.Variation_Selector) || unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) {
		return -1
	}
	return r
}
