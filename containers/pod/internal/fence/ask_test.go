package fence

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
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
	var answered atomic.Bool
	go func() {
		for times := 1; ; times++ {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			if times > 2 { // the first two are taken by a proxy that is not there yet
				// Closing with a request unread resets the connection, and a reset may overtake the answer.
				_, _ = http.ReadRequest(bufio.NewReader(connection))
				answered.Store(true)
				answer := `{"resolvers": [], "addresses": [], "allowlist": ""}`
				fmt.Fprintf(connection, "HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\n\r\n%s", len(answer), answer)
			}
			connection.Close()
		}
	}()
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	Settings{Proxy: proxy}.Answered(ctx)
	if !answered.Load() {
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
