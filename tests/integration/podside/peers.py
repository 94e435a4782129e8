"""What a fence probes, inside the pod's own network and by its own addresses: a proxy, a canary, a resolver, an API.

Usage: peers.py proxy|no-proxy. It runs as root, so that a wall against the pod's user does not concern it.
"""

import socketserver
import sys
import threading

PROXY, RESOLVER, API = "127.0.0.9", "127.0.0.10", "127.0.0.11"
PAGE = b'{"resolvers":["127.0.0.10"],"allowlist":"0123456789ab"}\n<!-- squid may add something -->'
HEAD = b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(
    PAGE
)


class Proxy(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        if self.rfile.readline().startswith(b"GET http://fence.paude.invalid/ "):
            while self.rfile.readline().strip():
                pass
            self.wfile.write(HEAD + PAGE)


class Silent(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        return


class Resolver(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        question, answer_from = self.request
        answer_from.sendto(question[:2] + b"\x81\x83" + question[4:], self.client_address)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64


servers: list[socketserver.BaseServer] = [
    Server((PROXY, 3129), Silent),
    Server((RESOLVER, 53), Silent),
    Server((API, 443), Silent),
    socketserver.ThreadingUDPServer((RESOLVER, 53), Resolver),
]
if sys.argv[1] == "proxy":
    servers.append(Server((PROXY, 3128), Proxy))
for server in servers:
    threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdout.write("ready\n")
sys.stdout.flush()
threading.Event().wait()
