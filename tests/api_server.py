"""A real HTTP server that answers as an API server would, for what a cluster does too seldom to be waited for."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from paude.backends.kubernetes import cluster as clusters
from paude.backends.kubernetes import kubeconfig
from paude.backends.kubernetes.cluster import Cluster
from paude.settings import Paths

Answer = tuple[int, dict[str, Any] | bytes]
"""The status, and JSON; or bytes that are sent as they are, whatever they be."""
VERSION = {"major": "1", "minor": "30"}
FORBIDDEN = {"kind": "Status", "reason": "Forbidden", "message": "you may not"}


@contextmanager
def serving(answer: Callable[[str, str, dict[str, Any]], Answer]) -> Iterator[str]:
    """`answer` is given method, path and body, in a thread for each request; gives the server's address."""

    class Handler(BaseHTTPRequestHandler):
        def _reply(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "{}")
            status, said = answer(self.command, self.path, body)
            text = said if isinstance(said, bytes) else json.dumps(said).encode()
            with suppress(ConnectionError):  # whoever asked has heard enough
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

        do_GET = do_POST = do_PATCH = do_DELETE = _reply

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@asynccontextmanager
async def connection(url: str, directory: Path) -> AsyncIterator[Cluster]:
    """To the namespace `work` of the server there."""
    file = directory / "kubeconfig"
    file.write_text(
        json.dumps(
            {
                "clusters": [{"name": "c", "cluster": {"server": url}}],
                "users": [{"name": "u", "user": {"token": "good"}}],
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "work"}}],
                "current-context": "x",
            }
        )
    )
    async with clusters.connected(kubeconfig.choose([file]), Paths(*[directory] * 4)) as cluster:
        yield cluster
