package fence

import (
	"context"
	"sync"
)

// Battery makes every probe once and gives what each saw: the way around the proxy, which the gate probes each minute
// as well, and the way through it. host is a name on the session's list, or empty; it is asked for, never connected to
// by a proxy that does its work.
func (s Settings) Battery(ctx context.Context, host string) []Result {
	rounds := s.Pair(ctx, Answer{})
	results := worst(rounds[0].Results, rounds[1].Results)
	if rounds[0].Answer == nil && rounds[1].Answer == nil {
		// Nothing else means anything when the one way that must be open is not.
		return append(results, Result{"proxy", "tcp " + s.Proxy + ":" + proxyPort, Unproven})
	}
	results = append(results, sockets()...)
	return append(results, s.through(ctx, host)...)
}

// through tries to get out by way of the proxy.
func (s Settings) through(ctx context.Context, host string) []Result {
	tries := s.attempts(host)
	results := make([]Result, len(tries))
	var all sync.WaitGroup
	for i, one := range tries {
		all.Add(1)
		go func() {
			defer all.Done()
			results[i] = Result{one.name, one.line, one.judge(ctx, s.Proxy, one.line)}
		}()
	}
	all.Wait()
	return results
}

// worst joins two looks at the same targets: what was open once is open.
func worst(first, second []Result) []Result {
	open := map[string]string{}
	for _, one := range second {
		open[one.Name+one.Address] = one.Result
	}
	joined := append([]Result{}, first...)
	seen := map[string]bool{}
	for i, one := range joined {
		seen[one.Name+one.Address] = true
		if other, both := open[one.Name+one.Address]; both && one.Result == Closed {
			joined[i].Result = other
		}
	}
	for _, one := range second {
		if !seen[one.Name+one.Address] {
			joined = append(joined, one)
		}
	}
	return joined
}

// AnyOpen tells whether a probe got out.
func AnyOpen(results []Result) bool { return saw(Round{Results: results}, Open) }
