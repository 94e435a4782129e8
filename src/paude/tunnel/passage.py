"""Whether a network lets WebSockets through to an API server, found out without a pod.

An API server serves a watch over a WebSocket when it is asked to upgrade (kubernetes.io, "API concepts"), and as plain
HTTP when it is not: so an answer of 200 means that something on the way took the request to upgrade out.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.typing import Origin

from paude.process import clean
from paude.tunnel.portforward import ApiAccess, Connect, options

_WATCH = "watch=1&timeoutSeconds=1"


class Verdict(Enum):
    """What is known of the way."""

    OPEN = "open"
    CLOSED = "closed"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Passage:
    """The verdict, and why where it is not that all is well."""

    verdict: Verdict
    why: str = ""


async def passage(access: ApiAccess, namespace: str) -> Passage:
    """Ask for a watch of the namespace's pods over a WebSocket; sends nothing else and changes nothing."""
    server = urlsplit(access.server)
    scheme = "ws" if server.scheme == "http" else "wss"
    url = f"{scheme}://{server.netloc}{server.path.rstrip('/')}/api/v1/namespaces/{namespace}/pods?{_WATCH}"
    try:
        # Go's library refuses a request without an origin, whatever that is.
        async with Connect(url, origin=Origin(access.server), **options(access)):
            return Passage(Verdict.OPEN)
    except InvalidStatus as exc:
        return judge(exc.response.status_code)
    except (OSError, TimeoutError) as exc:
        return Passage(Verdict.UNKNOWN, clean(str(exc)) or type(exc).__name__)
    except WebSocketException as exc:
        return Passage(Verdict.CLOSED, f"the answer is no WebSocket's: {clean(str(exc))}")


def judge(status: int) -> Passage:
    """What an answer means that is not the wanted one."""
    if status in (401, 403):
        return Passage(Verdict.UNKNOWN, f"the API server answers {status}")
    if status == 200:
        return Passage(Verdict.CLOSED, "something on the way takes the request for a WebSocket out")
    return Passage(Verdict.CLOSED, f"the answer is {status}")
