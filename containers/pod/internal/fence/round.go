package fence

import (
	"context"
	"sync"
	"time"
)

// Result is what one probe saw.
type Result struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	Result  string `json:"result"`
}

// Round is one look at everything at once.
type Round struct {
	Answer  *Answer // nil: the proxy did not answer
	Failure error   // why not
	Results []Result
	At      time.Time
}

// A lost packet looks like a closed door, so rounds come in pairs; the second need not wait for the first.
const apart = 400 * time.Millisecond

// Pair makes two rounds, the second a little after the first. known is what the proxy said before, for the time in
// which it says nothing.
func (s Settings) Pair(ctx context.Context, known Answer) [2]Round {
	var rounds [2]Round
	var both sync.WaitGroup
	for i := range rounds {
		both.Add(1)
		go func() {
			defer both.Done()
			select {
			case <-ctx.Done():
			case <-time.After(time.Duration(i) * apart):
			}
			rounds[i] = s.round(ctx, known)
		}()
	}
	both.Wait()
	return rounds
}

func (s Settings) round(ctx context.Context, known Answer) Round {
	fixed := make(chan []Result, 1)
	go func() { fixed <- probeAll(ctx, s.fixedTargets()) }()

	round := Round{At: time.Now()}
	round.Answer, round.Failure = ask(ctx, s.Proxy)
	if round.Answer != nil {
		known = *round.Answer
	}
	named := probeAll(ctx, namedTargets(known))
	round.Results = append(<-fixed, named...)
	return round
}

func probeAll(ctx context.Context, targets []target) []Result {
	results := make([]Result, len(targets))
	var all sync.WaitGroup
	for i, one := range targets {
		all.Add(1)
		go func() {
			defer all.Done()
			results[i] = one.probe(ctx)
		}()
	}
	all.Wait()
	return results
}
