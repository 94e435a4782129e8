package gate

import (
	"context"
	"testing"
)

func filling() *State { return &State{changed: make(chan struct{})} }

func TestTheSyncIsLetInWhenTheWorkspaceIsFilled(t *testing.T) {
	state := filling()
	let := make(chan Reply, 1)
	go func() { let <- state.awaitFilled(context.Background()) }()
	if reply := state.Filling(); reply.Code != done {
		t.Fatal(reply)
	}
	impatient, leave := context.WithCancel(context.Background())
	leave()
	if reply := state.awaitFilled(impatient); reply.Code == done {
		t.Fatalf("before it was: %+v", reply)
	}
	state.Filled()
	if reply := <-let; reply.Code != done {
		t.Fatal(reply)
	}
}

func TestAFillingThatBeginsAgainEndsWhatSyncs(t *testing.T) {
	state := filling()
	waiting := syncing(t, here)
	_ = state.Filling()
	waiting.answers(t) // it waits for the content
	state.Filled()
	if reply := state.Filling(); reply.Code != done {
		t.Fatal(reply)
	}
	<-waiting.ended
	if state.filled {
		t.Fatal("the next one would be let in")
	}
}

func TestAWorkspaceThatIsSeededIsNotFilledAgain(t *testing.T) {
	state := filling()
	state.seeded = true
	if reply := state.Filling(); reply.Code != refused {
		t.Fatal(reply)
	}
}
