"""Many tunnels at once: how long each takes, and what a crowd of idle ones does to somebody else."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

LIMIT_S = 120.0
_CONNECT = "CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n"


@dataclass(frozen=True)
class Turn:
    """One request: seconds until TLS stood, and until the answer began after that."""

    opened_s: float
    answered_s: float


def may_open(files: int) -> None:
    """Lets this process have that many sockets. Raises ValueError where the machine does not."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, max(hard, files)))


async def turn(
    address: tuple[str, int], host: str, trust: ssl.SSLContext, *, through_proxy: bool, everybody: asyncio.Barrier
) -> Turn:
    """A connection that stays until everybody has one, and one request through it then."""
    began = time.perf_counter()
    reader, writer = await asyncio.open_connection(*address)
    if through_proxy:
        writer.write(_CONNECT.format(host=host).encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.splitlines()[0]:
            raise ConnectionError(head.splitlines()[0].decode("latin-1"))
    await writer.start_tls(trust, server_hostname=host)
    opened = time.perf_counter() - began
    await everybody.wait()
    began = time.perf_counter()
    writer.write(f"GET /load HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    await writer.drain()
    await reader.readuntil(b"\r\n\r\n")
    answered = time.perf_counter() - began
    await everybody.wait()
    writer.close()
    return Turn(opened, answered)


async def _turns(address: tuple[str, int], host: str, trust: ssl.SSLContext, count: int, through: bool) -> list[Turn]:
    everybody = asyncio.Barrier(count)
    async with asyncio.timeout(LIMIT_S), asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(turn(address, host, trust, through_proxy=through, everybody=everybody))
            for _ in range(count)
        ]
    return [task.result() for task in tasks]


def turns(address: tuple[str, int], host: str, trust: ssl.SSLContext, count: int, *, through_proxy: bool) -> list[Turn]:
    """`count` connections at once, by way of a proxy at the address or to an origin there; all are open together."""
    return asyncio.run(_turns(address, host, trust, count, through_proxy))


@contextmanager
def crowd(address: tuple[str, int], host: str, count: int) -> Iterator[list[int]]:
    """That many tunnels that are asked for and then left alone; gives the status of each answer, 0 for none."""
    statuses: list[int] = []
    with contextlib.ExitStack() as all_of_them:
        for _ in range(count):
            with contextlib.suppress(OSError):
                connection = all_of_them.enter_context(socket.create_connection(address, 5))
                connection.sendall(_CONNECT.format(host=host).encode())
                connection.settimeout(0.5)
                answer = b""
                with contextlib.suppress(TimeoutError):
                    answer = connection.recv(4096)
                statuses.append(int(answer[9:12]) if answer.startswith(b"HTTP/1.") else 0)
        yield statuses
