"""Speaking with the supervisor: start it when it is not there, ask it, end it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio

from paude.errors import CommandFailed, ConnectionLost
from paude.settings import Paths
from paude.ssh import fdpass
from paude.supervisor.protocol import PROTOCOL
from paude.tunnel.local import LocalStream

_ANSWER_S = 5.0
_END_S = 15.0
_READY_S = 30.0
_TRIES = 3

T = TypeVar("T")


async def ensure(paths: Paths) -> int:
    """Start a supervisor unless one answers, and return when its sync daemon can be used; gives its process number.

    One that speaks another protocol is replaced, and one that ends meanwhile. Raises ConnectionLost, with where to
    look, when none comes to life.
    """
    for _ in range(_TRIES):
        hello = await _ask(paths, "!hello")
        if hello is not None and hello.get("protocol") != PROTOCOL:
            await stop(paths)
            hello = None
        if hello is None:
            await anyio.to_thread.run_sync(_start, paths)
        ready = await _ask(paths, "!ready", _READY_S)
        if ready is not None:
            return int(ready["pid"])
    raise ConnectionLost("the supervisor does not start", why=f"{_TRIES} have ended at once", hint=_hint(paths))


async def supervised(paths: Paths, work: Callable[[], Awaitable[T]]) -> T:
    """What `work` gives, which needs the sync daemon. Where that ended with its supervisor, `work` is done again with
    another one, so it must be such as can be repeated.

    Raises what `work` raises, and as `ensure`.
    """
    tries = 1
    while True:
        process = await ensure(paths)
        try:
            return await work()
        except (CommandFailed, ConnectionLost):
            if tries == _TRIES or await ensure(paths) == process:
                raise
        tries += 1


async def killed(paths: Paths) -> bool:
    """Whether the last one had no time to end: its socket is there, and nobody answers."""
    return paths.supervisor_socket.exists() and await status(paths) is None


async def status(paths: Paths) -> dict[str, Any] | None:
    """What it does, or None when there is none."""
    return await _ask(paths, "!status")


async def stop(paths: Paths) -> None:
    """End it, and return when it has ended; harmless when there is none. Raises ConnectionLost when it does not end."""
    with anyio.move_on_after(_END_S):
        if await _ask(paths, "!stop") is not None:
            # It removes its socket last; that has no portable event.
            while paths.supervisor_socket.exists():  # noqa: ASYNC110
                await anyio.sleep(0.02)
        return
    raise ConnectionLost("the supervisor does not end", hint=_hint(paths))


async def forget(paths: Paths, name: str) -> None:
    """Close all streams to the session `name`."""
    await _ask(paths, f"!forget {name}")


async def look(paths: Paths) -> None:
    """Tell it that the link is back: what waits is tried at once."""
    await _ask(paths, "!look")


def _start(paths: Paths) -> None:
    try:
        fdpass.connected(str(paths.supervisor_socket), str(paths.state)).close()
    except OSError as exc:
        raise ConnectionLost("the supervisor does not start", why=str(exc), hint=_hint(paths)) from exc


async def _ask(paths: Paths, question: str, within: float = _ANSWER_S) -> dict[str, Any] | None:
    try:
        stream = await LocalStream.over(fdpass.dialled(str(paths.supervisor_socket)))
    except OSError:
        return None
    try:
        with anyio.fail_after(within):
            await stream.send(f"{question}\n".encode("ascii"))
            return await _answer(stream)
    except anyio.BrokenResourceError:
        return None
    except (TimeoutError, ValueError) as exc:
        raise ConnectionLost("the supervisor does not answer", hint=_hint(paths)) from exc
    finally:
        await stream.aclose()


async def _answer(stream: LocalStream) -> dict[str, Any] | None:
    """The answer, or None of one that ended before it gave any."""
    told = b""
    async for part in stream:
        told += part
    if not told:
        return None
    found = json.loads(told)
    if not isinstance(found, dict):
        raise ValueError(told)
    return found


def _hint(paths: Paths) -> str:
    return f"its log is {paths.state / 'supervisor.log'}"
