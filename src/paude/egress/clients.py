"""What the programs in an agent's container have to be told so that they use the proxy and look up nothing themselves.

Each stands for a client that was seen to need it: docs/clients.md.
"""

from __future__ import annotations

NO_PROXY = "localhost,127.0.0.1,::1"
"""Without it Claude Code hangs on its own loopback calls (seen)."""


def environment(host: str, port: int) -> dict[str, str]:
    """The variables for a proxy at `host`, an address."""
    proxy = f"http://{host}:{port}"
    return {
        **dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"), proxy),
        "NO_PROXY": NO_PROXY,
        "no_proxy": NO_PROXY,
        "NODE_USE_ENV_PROXY": "1",
        "CLAUDE_CODE_PROXY_RESOLVES_HOSTS": "1",
        "JAVA_TOOL_OPTIONS": _java(host, port),
    }


def _java(host: str, port: int) -> str:
    """Java knows no proxy variable; Maven's own transport looks at Java's properties only when it is told to."""
    ways = [f"-D{scheme}.proxy{what}" for scheme in ("https", "http") for what in (f"Host={host}", f"Port={port}")]
    return " ".join(
        [*ways, "-Dhttp.nonProxyHosts=localhost|127.*|[::1]", "-Daether.connector.http.useSystemProperties=true"]
    )
