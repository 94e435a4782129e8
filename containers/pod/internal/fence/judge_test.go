package fence

import (
	"errors"
	"strings"
	"testing"
	"time"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func round(second int, answered bool, results ...string) Round {
	one := Round{At: start.Add(time.Duration(second) * time.Second)}
	if answered {
		one.Answer = &Answer{Resolvers: []string{"10.0.0.10"}}
	} else {
		one.Failure = errors.New("refused")
	}
	for _, result := range results {
		one.Results = append(one.Results, Result{"canary", "tcp 10.0.0.1:3129", result})
	}
	return one
}

func states(judge *Judge, rounds ...Round) string {
	var seen []string
	for _, one := range rounds {
		judge.Add(one)
		seen = append(seen, judge.State)
	}
	return strings.Join(seen, " ")
}

func TestVerdicts(t *testing.T) {
	clean, open, dark := []string{Closed}, []string{Open}, []string{Unproven}
	for _, one := range []struct {
		rule   string
		strict bool
		rounds []Round
		want   string
	}{
		{"two clean rounds make it clean", false,
			[]Round{round(0, true, clean...), round(1, true, clean...)}, "unknown clean"},
		{"an open way starts the count again", false,
			[]Round{round(0, true, clean...), round(1, true, open...), round(2, true, clean...), round(3, true, clean...)},
			"unknown unknown unknown clean"},
		{"an open way while policies settle is no leak yet", false,
			[]Round{round(0, true, open...), round(19, true, open...), round(20, true, open...)}, "unknown unknown open"},
		{"settling begins when the proxy answers", false,
			[]Round{round(0, false, open...), round(60, true, open...), round(79, true, open...), round(80, true, open...)},
			"proxy-unreachable unknown unknown open"},
		{"after it was clean the first open way is a leak", false,
			[]Round{round(0, true, clean...), round(1, true, clean...), round(2, true, open...)}, "unknown clean open"},
		{"beside a running agent the first open way is a leak", true, []Round{round(0, false, open...)}, "open"},
		{"silence everywhere proves nothing", false,
			[]Round{round(0, false, clean...), round(1, false, clean...)}, "proxy-unreachable proxy-unreachable"},
		{"a probe that was never sent proves nothing", false,
			[]Round{round(0, true, dark...), round(1, true, dark...)}, "unknown unknown"},
		{"a proxy that could not be asked is not taken for a silent one", false,
			[]Round{round(0, false, dark...)}, "unknown"},
		{"the node's own address only warns", false,
			[]Round{round(0, true, Warning), round(1, true, Warning)}, "unknown clean"},
	} {
		t.Run(one.rule, func(t *testing.T) {
			if got := states(NewJudge(one.strict), one.rounds...); got != one.want {
				t.Fatalf("%s, not %s", got, one.want)
			}
		})
	}
}

func TestTheProxysAnswerIsChecked(t *testing.T) {
	good := `{"resolvers":["10.0.0.10","fd00::a"],"allowlist":"0123456789ab"}`
	if answer, err := parseAnswer(403, strings.NewReader(good)); err != nil || len(answer.Resolvers) != 2 {
		t.Fatalf("%v, %v", answer, err)
	}
	for rule, bad := range map[string]string{"names": `{"resolvers":["dns.test"]}`, "text": "<html>", "nothing": ""} {
		if _, err := parseAnswer(403, strings.NewReader(bad)); err == nil {
			t.Errorf("%s was taken", rule)
		}
	}
	if _, err := parseAnswer(200, strings.NewReader(good)); err == nil {
		t.Error("200 was taken: that is not our proxy's page")
	}
}
