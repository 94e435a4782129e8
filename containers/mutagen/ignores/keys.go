package ignores

import (
	"path"
	"regexp"
	"strings"
	"unicode/utf8"
)

// mostKeys is into how many keys the classes of one pattern are spelled out.
const mostKeys = 64

// plainClass is a class of ASCII letters and simple ranges that matches no slash; all others end what is understood.
var (
	plainClass = regexp.MustCompile(`^\[((?:[0-9A-Za-z]-[0-9A-Za-z]|[ "-,.0-Z_-~])+)\]`)
	inClass    = regexp.MustCompile(`[0-9A-Za-z]-[0-9A-Za-z]|.`)
)

// part is what matches one letter: any of these, in lower case. None means a wildcard, which matches no slash (two stars
// do, but only alone between slashes), or where open is set the rest of a pattern, which may match anything.
type part struct {
	letters string
	open    bool
}

var (
	slash = part{letters: "/"}
	wild  = part{}
	open  = part{open: true}
)

// keysOf gives texts one of which stands in every path that a valid pattern matches, in lower case and with the path
// between slashes: either where the path begins, or in its last name with the slashes around it; where a pattern is
// matched with that name alone, both are the same. None at all when nothing is that certain.
func keysOf(pattern string) []string {
	body := path.Clean(strings.TrimPrefix(pattern, "!"))
	if strings.ContainsRune(body, utf8.RuneError) { // it matches every letter that is none
		return nil
	}
	parts := partsOf("/" + strings.TrimPrefix(body, "/") + "/")
	name := lastName(parts)
	return longest(withBeginning(spelled(parts[name:]), spelled(parts)[0], name))
}

// lastName is where what matches the last name of a path begins, with the slash before it.
func lastName(parts []part) int {
	at := len(parts) - 1
	if parts[at] == slash { // the one behind the path
		at--
	}
	for !parts[at].open && parts[at] != slash {
		at--
	}
	return at
}

// withBeginning adds the keys for a path's beginning where they reach into the last name, or are all there is.
func withBeginning(choices [][]string, beginning []string, name int) [][]string {
	if len(beginning[0]) > name || longest(choices) == nil {
		return append(choices, beginning)
	}
	return choices
}

// longest chooses the keys that say most; a slash alone says nothing.
func longest(choices [][]string) []string {
	var found []string
	length := 0
	for _, keys := range choices {
		if len(keys[0]) > length && keys[0] != "/" {
			found, length = keys, len(keys[0])
		}
	}
	return found
}

// spelled gives, for each piece between wildcards, the texts that it matches.
func spelled(parts []part) [][]string {
	var pieces [][]string
	var piece []string
	for _, one := range parts {
		if piece != nil && len(piece)*len(one.letters) > mostKeys || one.letters == "" {
			pieces, piece = appended(pieces, piece), nil
		}
		piece = times(piece, one.letters)
	}
	return appended(pieces, piece)
}

func appended(pieces [][]string, piece []string) [][]string {
	if piece == nil {
		return pieces
	}
	return append(pieces, piece)
}

func times(piece []string, letters string) []string {
	if piece == nil && letters != "" {
		piece = []string{""}
	}
	var longer []string
	for _, text := range piece {
		for at := range len(letters) {
			longer = append(longer, text+letters[at:at+1])
		}
	}
	return longer
}

// partsOf reads a pattern between slashes, up to what it does not understand, which may match anything.
func partsOf(text string) []part {
	var parts []part
	for at := 0; at < len(text); {
		one, length := read(text[at:])
		if length == 0 {
			return append(parts, open)
		}
		parts = append(parts, one)
		at += length
	}
	return parts
}

// read gives the first part of a text, and how long it is; 0 for what is not understood.
func read(text string) (part, int) {
	switch text[0] {
	case '*', '?':
		return wild, 1
	case '\\':
		return letter(text[1]), 2
	case '[':
		return class(text)
	case '{':
		return open, 0
	}
	return letter(text[0]), 1
}

func letter(one byte) part { return part{letters: string([]byte{lower(one)})} }

func class(text string) (part, int) {
	found := plainClass.FindStringSubmatch(text)
	if found == nil {
		return open, 0
	}
	letters := ""
	for _, one := range inClass.FindAllString(found[1], -1) {
		for letter := one[0]; letter <= max(one[0], one[len(one)-1]); letter++ {
			letters = added(letters, lower(letter))
		}
	}
	return part{letters: letters}, len(found[0])
}

func added(letters string, letter byte) string {
	if strings.IndexByte(letters, letter) >= 0 {
		return letters
	}
	return letters + string(rune(letter))
}
