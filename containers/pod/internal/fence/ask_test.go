package fence

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"
)

func TestNoRoundBeginsBeforeTheProxyAnswers(t *testing.T) {
	const proxy = "127.0.77.1" // its port is fixed
	listener, err := net.Listen("tcp", net.JoinHostPort(proxy, proxyPort))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	asked := make(chan int, 1)
	go func() {
		for times := 1; ; times++ {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			if times == 3 { // the first two are taken by a proxy that is not there yet
				answer := `{"resolvers": [], "addresses": [], "allowlist": ""}`
				fmt.Fprintf(connection, "HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\n\r\n%s", len(answer), answer)
				asked <- times
			}
			connection.Close()
		}
	}()
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	Settings{Proxy: proxy}.Answered(ctx)
	select {
	case <-asked:
	default:
		t.Fatal("it did not wait for the answer")
	}
}

func TestOnlyAStartWaitsForTheProxy(t *testing.T) {
	judge, beside := NewJudge(false), NewJudge(true)
	if !judge.Waits() || beside.Waits() {
		t.Fatal("a gate beside a running agent looks at once, one that has none waits for the proxy")
	}
	judge.Add(round(0, true, Closed))
	if judge.Waits() {
		t.Fatal("it has answered")
	}
}
