package gate

import (
	"context"
	"net"
	"path/filepath"

	"paude/pod/internal/metadata"
	"paude/pod/internal/paths"
)

// keepCredentials gives the agent access tokens; what they are made of stays in this container.
func keepCredentials(ctx context.Context, proxy string) *metadata.Keeper {
	if proxy != "" {
		proxy = net.JoinHostPort(proxy, paths.ProxyPort)
	}
	files := []string{filepath.Join(paths.Renewed, paths.Login), filepath.Join(paths.Secrets, paths.Login)}
	keeper := metadata.NewKeeper(proxy, filepath.Join(paths.Secrets, paths.Authorities), files...)
	go metadata.Serve(ctx, net.JoinHostPort("127.0.0.1", paths.MetadataPort), keeper)
	return keeper
}
