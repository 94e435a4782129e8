package gate

import (
	"context"
	"testing"
	"time"
)

func filling() *State { return &State{changed: make(chan struct{})} }

func TestTheSyncIsLetInWhenTheWorkspaceIsFilled(t *testing.T) {
	state := filling()
	let := make(chan Reply, 1)
	go func() { let <- state.awaitFilled(context.Background()) }()
	if reply := state.Filling(); reply.Code != done {
		t.Fatal(reply)
	}
	select {
	case reply := <-let:
		t.Fatalf("before it was: %+v", reply)
	case <-time.After(50 * time.Millisecond):
	}
	state.Filled()
	if reply := <-let; reply.Code != done {
		t.Fatal(reply)
	}
}

func TestAFillingThatBeginsAgainEndsWhatSyncs(t *testing.T) {
	state := filling()
	ended := syncing(t, here)
	_ = state.Filling()
	select {
	case <-ended:
		t.Fatal("it waits for the content, and was ended")
	case <-time.After(50 * time.Millisecond):
	}
	state.Filled()
	if reply := state.Filling(); reply.Code != done {
		t.Fatal(reply)
	}
	<-ended
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
