package guard

import (
	"testing"

	"github.com/mutagen-io/mutagen/pkg/synchronization/core"
)

func TestTierOneIsHeldInEverySpelling(t *testing.T) {
	for _, name := range []string{
		".git", ".GIT", ".Git.", ".git ", ".git. .", ".g\u200cit", ".gi\ufe0ft", "\uff0egit", ".git::$INDEX_ALLOCATION", "GIT~1", "git~12",
		".envrc", ".ENVRC", ".env", ".env.local", ".vscode", ".VSCode", ".claude", ".mcp.json", "x.code-workspace", "a\nb", "a\x1b[31m",
		".bashrc", ".husky", "node_modules", "lefthook.yml", "Fun.LNK",
	} {
		if !Name(name) {
			t.Errorf("%q goes through", name)
		}
	}
}

func TestOrdinaryNamesPass(t *testing.T) {
	for _, name := range []string{
		"git", ".gitignore", ".gitattributes", ".github", "environment", ".env.example", "claude.md", "CLAUDE.md", "main.go", "vscode",
		"ünïcödé.txt", "日本.md", "emoji-😀", "a b", "...x", ".editorconfig", "my.git.txt",
	} {
		if Name(name) {
			t.Errorf("%q is held", name)
		}
	}
}

func TestALinkIntoAHeldPathIsHeld(t *testing.T) {
	link := func(target string) *core.Entry {
		return &core.Entry{Kind: core.EntryKind_SymbolicLink, Target: target}
	}
	if !Entry(link(".git/hooks")) || !Entry(link("../.GIT/config")) || Entry(link("../src/main.go")) {
		t.Error("links are judged by their names alone")
	}
}

func TestABareRepositoryIsHeld(t *testing.T) {
	file := &core.Entry{Kind: core.EntryKind_File, Digest: []byte{1}}
	directory := &core.Entry{Kind: core.EntryKind_Directory}
	bare := &core.Entry{Kind: core.EntryKind_Directory, Contents: map[string]*core.Entry{"HEAD": file, "objects": directory, "refs": directory}}
	if !Entry(bare) {
		t.Error("a bare repository passes")
	}
	delete(bare.Contents, "refs")
	if Entry(bare) {
		t.Error("a directory with two of the three is held")
	}
}

func TestWhatToolsRunIsFlaggedAndNotHeld(t *testing.T) {
	for _, path := range []string{"Makefile", "sub/package.json", ".github/workflows/x.yml", "Dockerfile.dev", "CLAUDE.md", "setup.PY"} {
		if !Flagged(path) || Path(path) {
			t.Errorf("%q: flagged %v, held %v", path, Flagged(path), Path(path))
		}
	}
	for _, path := range []string{"src/main.go", "README.md", "github/x", "makefiles/a.txt"} {
		if Flagged(path) {
			t.Errorf("%q is flagged", path)
		}
	}
}
