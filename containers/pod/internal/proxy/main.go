// Package proxy is PID 1 of the proxy: it runs squid, says who the resolvers are, and opens the canary port.
package proxy

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"

	"paude/pod/internal/children"
	"paude/pod/internal/passwd"
	"paude/pod/internal/relay"
	"paude/pod/internal/say"
)

const (
	config    = "/etc/paude/proxy/squid.conf"
	allowlist = "/etc/paude/proxy/allowlist"
	runtime   = "/run/squid"
	grace     = time.Second
)

// Main runs the proxy until SIGTERM, until another one has its place, or until squid ends, which ends the container.
func Main([]string) int {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
	defer stop()
	table := children.New()
	if err := prepare(table); err != nil {
		return say.Fatal("%v", err)
	}
	if err := openCanary(); err != nil {
		return say.Fatal("the canary port: %v", err)
	}
	var retired <-chan struct{}
	if socket := os.Getenv(relay.SocketVariable); socket != "" {
		var err error
		if retired, err = relay.Serve(ctx, socket); err != nil {
			return say.Fatal("the socket for sessions: %v", err)
		}
	}
	squid, err := start(table)
	if err != nil {
		return say.Fatal("squid cannot be started: %v", err)
	}
	select {
	case <-ctx.Done():
		squid.Signal(unix.SIGTERM)
		children.EndAll(grace)
		return 0
	case <-retired:
		say.Line("another proxy has the session, and no tunnel is left here")
		squid.Signal(unix.SIGTERM)
		children.EndAll(grace)
		return 0
	case status := <-squid.Done():
		failed := say.Fatal("squid ended (%s); see its log above", ending(status))
		return max(failed, status.ExitStatus())
	}
}

func ending(status unix.WaitStatus) string {
	if status.Signaled() {
		return "by " + status.Signal().String()
	}
	return fmt.Sprintf("exit %d", status.ExitStatus())
}

// prepare lays out what squid.conf refers to. Without rules nothing is started: squid's own default would be a proxy
// for everybody.
func prepare(table *children.Table) error {
	if text, err := os.ReadFile(config); err != nil || len(bytes.TrimSpace(text)) == 0 {
		return fmt.Errorf("%s is missing or empty: %w", config, err)
	}
	list, err := listName()
	if err != nil {
		return err
	}
	_ = passwd.Write(runtime, "/sbin/nologin") // squid likes a name for its user, and can do without
	if err = writeFencePage(list); err != nil {
		return err
	}
	if err = makeCertificate(); err != nil {
		return err
	}
	return parse(table)
}
