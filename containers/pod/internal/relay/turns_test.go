package relay

import "testing"

func TestAProxyThatWasReplacedDoesNotComeBack(t *testing.T) {
	kept := turnsIn(t.TempDir())
	for _, turn := range []string{"first", "second", "second"} {
		if kept.over(turn) {
			t.Fatalf("%s has not even begun", turn)
		}
		if err := kept.take(turn); err != nil {
			t.Fatal(err)
		}
	}
	for turn, want := range map[string]bool{"first": true, "second": false, "third": false, "": false} {
		if kept.over(turn) != want {
			t.Errorf("%q: %v", turn, !want)
		}
	}
	if len(kept.read()) != 2 {
		t.Errorf("%v", kept.read())
	}
}
