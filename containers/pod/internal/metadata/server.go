// Package metadata answers on the pod's loopback as Google's metadata service would, so that the agent gets access
// tokens and never what they are made of. https://cloud.google.com/compute/docs/metadata/querying-metadata
package metadata

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"time"

	"paude/pod/internal/say"
)

const (
	flavor  = "Metadata-Flavor"
	google  = "Google"
	root    = "/computeMetadata/v1"
	account = root + "/instance/service-accounts/default"
	email   = "default"
	again   = time.Second
	// idle is how long a connection is kept on which nothing is asked: it holds a place.
	idle = time.Minute
)

// Serve answers at `address` until the context ends. It may have to wait: whoever shares this network could sit there.
func Serve(ctx context.Context, address string, keeper *Keeper) {
	told := false
	for ctx.Err() == nil {
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
		if err == nil {
			serve(ctx, listener, keeper)
			return
		}
		if !told {
			say.Line("the agent gets no tokens yet: %v", err)
			told = true
		}
		select {
		case <-ctx.Done():
		case <-time.After(again):
		}
	}
}

func serve(ctx context.Context, listener net.Listener, keeper *Keeper) {
	server := &http.Server{
		Handler: handler(keeper), ReadHeaderTimeout: patience, IdleTimeout: idle, MaxHeaderBytes: 16 << 10,
	}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	_ = server.Serve(boundedBy(listener, places))
}

func handler(keeper *Keeper) http.Handler {
	mux := http.NewServeMux()
	texts := map[string]func() string{
		"/{$}":                                  func() string { return "computeMetadata/\n" },
		root + "/{$}":                           func() string { return "instance/\nproject/\nuniverse/\n" },
		root + "/instance":                      func() string { return "service-accounts/\n" },
		root + "/instance/{$}":                  func() string { return "service-accounts/\n" },
		root + "/instance/service-accounts":     func() string { return "default/\n" },
		root + "/instance/service-accounts/{$}": func() string { return "default/\n" },
		account + "/email":                      func() string { return email },
		account + "/scopes":                     func() string { return scope + "\n" },
		account + "/aliases":                    func() string { return "default\n" },
		root + "/project/project-id":            keeper.project,
		root + "/universe/universe-domain":      func() string { return "googleapis.com" },
		root + "/universe/universe_domain":      func() string { return "googleapis.com" },
	}
	for path, text := range texts {
		mux.HandleFunc("GET "+path, func(out http.ResponseWriter, _ *http.Request) {
			out.Header().Set("Content-Type", "application/text")
			_, _ = out.Write([]byte(text()))
		})
	}
	whole := func(out http.ResponseWriter, _ *http.Request) {
		answer(out, map[string]any{"aliases": []string{"default"}, "email": email, "scopes": []string{scope}})
	}
	mux.HandleFunc("GET "+account, whole)
	mux.HandleFunc("GET "+account+"/{$}", whole)
	mux.HandleFunc("GET "+account+"/token", func(out http.ResponseWriter, request *http.Request) {
		give(out, request, keeper)
	})
	return guarded(mux)
}

// guarded refuses what the real service refuses, which keeps requests out that a page or a redirect makes somebody send.
func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(out http.ResponseWriter, request *http.Request) {
		out.Header().Set(flavor, google)
		asked := strings.HasPrefix(request.URL.Path, root) && request.Header.Get(flavor) != google
		if asked || request.Header.Get("X-Forwarded-For") != "" {
			http.Error(out, "missing "+flavor, http.StatusForbidden)
			return
		}
		next.ServeHTTP(out, request)
	})
}

func give(out http.ResponseWriter, request *http.Request, keeper *Keeper) {
	// The request may end before the answer comes; what was asked for is kept for the next one all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(request.Context()), patience)
	defer cancel()
	value, expires, err := keeper.Token(ctx)
	if err != nil {
		http.Error(out, "paude: no token: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	answer(out, map[string]any{
		"access_token": value, "expires_in": int(time.Until(expires).Seconds()), "token_type": "Bearer",
	})
}

func answer(out http.ResponseWriter, what any) {
	out.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(out).Encode(what)
}
