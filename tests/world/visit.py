"""A client that asks an origin of the fake internet for a page, through a tunnel."""

from __future__ import annotations

import socket
import ssl

from world.client import World
from world.lab import Proxy


def trusting(world: World) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(world.ca_path))


def blind() -> ssl.SSLContext:
    """A client that does not care whom it talks to: it is the wall that is tested here, not the client."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def fetch(connection: socket.socket, context: ssl.SSLContext, sni: str | None, host: str) -> bytes:
    """What an origin answers through a tunnel; empty when the connection ends instead."""
    try:
        with context.wrap_socket(connection, server_hostname=sni) as secured:
            secured.sendall(f"GET /canary HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            return secured.recv(65536)
    except OSError:
        return b""


def visit(proxy: Proxy, host: str, sni: str | None, port: int = 443) -> bytes:
    """What comes back; empty when there is no tunnel, or it ends."""
    connection, status = proxy.tunnel(host, port)
    with connection:
        return fetch(connection, blind(), sni, host) if status == 200 else b""
