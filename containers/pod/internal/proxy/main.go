// Package proxy is PID 1 of the proxy: it runs squid, says who the resolvers are, and opens the canary port.
package proxy

import (
	"context"
	"os"
	"os/signal"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"paude/pod/internal/children"
	"paude/pod/internal/passwd"
	"paude/pod/internal/say"
)

const (
	config    = "/etc/paude/proxy/squid.conf"
	allowlist = "/etc/paude/proxy/allowlist"
	runtime   = "/run/squid"
	grace     = time.Second
)

// Main runs the proxy until SIGTERM, or until squid ends, which is a failure.
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
	squid, err := start(table)
	if err != nil {
		return say.Fatal("squid cannot be started: %v", err)
	}
	select {
	case <-ctx.Done():
		squid.Signal(unix.SIGTERM)
		children.EndAll(grace)
		return 0
	case status := <-squid.Done():
		return say.Fatal("squid ended (exit %d, signal %d); see its log above", status.ExitStatus(), status.Signal())
	}
}

func prepare(table *children.Table) error {
	if err := check(config, true); err != nil {
		return err
	}
	if err := check(allowlist, false); err != nil {
		return err
	}
	_ = passwd.Write(runtime, "/sbin/nologin") // squid wants a name for its user; an image may do without
	for _, step := range []func() error{writeFencePage, makeAuthority, func() error { return makeCertificateStore(table) }} {
		if err := step(); err != nil {
			return err
		}
	}
	return parse(table)
}

// check refuses to run without the rules: squid's own default would be a proxy for everybody. An allowlist without
// entries is one that allows nothing.
func check(path string, content bool) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if content && strings.TrimSpace(string(text)) == "" {
		return &os.PathError{Op: "read", Path: path, Err: unix.ENODATA}
	}
	return nil
}
