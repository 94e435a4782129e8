"""Whatever answers at an API server's address: an error of paude's in few words; nothing is believed or followed."""

from __future__ import annotations

import gc
import json
import socket
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from api_server import VERSION, Answer, connection, serving
from paude.backends.kubernetes import listing, ownership
from paude.errors import ConnectionLost, PaudeError

pytestmark = pytest.mark.anyio

PAGE = b"<html><title>Log in</title>\x1b]0;x\x07</html>"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"

STRANGE: dict[str, tuple[int, dict[str, Any] | bytes, str]] = {
    "a page to log in": (200, PAGE, "the answer is not JSON"),
    "half of an answer": (200, b'{"major": "1", "min', "the answer is not JSON"),
    "nothing": (200, b"", "the answer is not JSON"),
    "a list": (200, b"[]", "the answer is not JSON"),
    "nothing but depth": (200, b"[" * 100_000, "the answer is not JSON"),
    "bytes that are no text": (200, b"\xff\xfe\x00", "the answer is not JSON"),
    "another place": (302, PAGE, "HTTP 302"),
    "a page about an error": (503, PAGE, "HTTP 503"),
    "words that steer a terminal": (500, {"message": "\x1b[2J\x07no"}, "no"),
    "a version that is none": (200, {"major": [], "minor": None}, "too old"),
    "too many requests": (429, {"message": "slow down"}, "slow down"),
}


@pytest.mark.parametrize("case", STRANGE)
async def test_an_answer_that_makes_no_sense_is_told_in_a_line(case: str, tmp_path: Path) -> None:
    status, said, words = STRANGE[case]
    with serving(lambda method, path, body: (status, said)) as url, pytest.raises(PaudeError) as caught:
        async with connection(url, tmp_path):
            pytest.fail("taken for a cluster")
    told = f"{caught.value} {caught.value.why}"
    assert words in told
    assert not {"\x1b", "\x07", "<"} & set(told)


@contextmanager
def saying(*pieces: bytes, ends: bool) -> Iterator[tuple[str, threading.Event]]:
    """Says these bytes to whoever comes, then hangs up or is silent; gives its address, and when it was asked."""
    asked, over = threading.Event(), threading.Event()
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with server.accept()[0] as client:
            client.recv(65536)
            asked.set()
            for piece in pieces:
                client.sendall(piece)
            if not ends:
                over.wait(30)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}", asked
    finally:
        over.set()
        thread.join()
        server.close()


@pytest.mark.parametrize(
    "pieces",
    [
        (HEAD + b'Content-Length: 1000\r\n\r\n{"major": "1"',),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nffff\r\n{",),
        (b"SSH-2.0-OpenSSH_9.2\r\n",),
        (b"\x15\x03\x01\x00\x02\x02\x46",),
        (b"",),
    ],
    ids=["too short", "a piece that ends early", "an sshd", "one that wants TLS", "silence"],
)
async def test_a_connection_that_breaks_off_is_a_server_that_cannot_be_reached(
    pieces: tuple[bytes, ...], tmp_path: Path
) -> None:
    with saying(*pieces, ends=True) as (url, _), pytest.raises(ConnectionLost, match="cannot be reached"):
        async with connection(url, tmp_path):
            pytest.fail("taken for a cluster")


async def test_an_answer_that_never_ends_can_be_left(tmp_path: Path) -> None:
    with saying(HEAD + b"Content-Length: 1000\r\n\r\n{", ends=False) as (url, asked):
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:

                async def ask() -> None:
                    async with connection(url, tmp_path):
                        pytest.fail("taken for a cluster")

                tasks.start_soon(ask)
                await anyio.to_thread.run_sync(asked.wait)
                tasks.cancel_scope.cancel()


async def test_a_redirect_takes_the_token_nowhere(tmp_path: Path) -> None:
    asked: list[str] = []

    def elsewhere(method: str, path: str, body: dict[str, Any]) -> Answer:
        asked.append(path)
        return 200, VERSION

    with serving(elsewhere) as other:
        moved = (
            b"HTTP/1.1 307 Temporary Redirect\r\nContent-Length: 0\r\nLocation: " + other.encode() + b"/version\r\n\r\n"
        )
        with saying(moved, ends=True) as (url, _), pytest.raises(PaudeError, match="HTTP 307"):
            async with connection(url, tmp_path):
                pytest.fail("taken for a cluster")
    assert asked == []


def cluster_of(pods: Callable[[], Answer]) -> Callable[[str, str, dict[str, Any]], Answer]:
    def answer(method: str, path: str, body: dict[str, Any]) -> Answer:
        return (200, VERSION) if path.startswith("/version") else pods()

    return answer


async def test_objects_without_anything_optional_are_listed_all_the_same(tmp_path: Path) -> None:
    bare = {"items": [{"metadata": {"name": "paude-x", "labels": {"paude.io/session": "x"}}}]}
    with serving(cluster_of(lambda: (200, bare))) as url:
        async with connection(url, tmp_path) as cluster:
            assert [one.name for one in await listing.sessions(cluster)] == ["x"]


@pytest.mark.parametrize("items", [{"items": None}, {"items": []}, {}])
async def test_a_list_without_items_is_empty(items: dict[str, Any], tmp_path: Path) -> None:
    with serving(cluster_of(lambda: (200, items))) as url:
        async with connection(url, tmp_path) as cluster:
            assert await cluster.list("Pod") == []


async def test_five_thousand_pods_of_others_hide_no_session(tmp_path: Path) -> None:
    others = [{"metadata": {"name": f"p{n}", "labels": {"app": "x" * 60}}, "status": {}} for n in range(5000)]
    mine = {"metadata": {"name": "paude-x", "labels": {"paude.io/session": "x"}}}
    with serving(cluster_of(lambda: (200, {"items": [*others, mine]}))) as url:
        async with connection(url, tmp_path) as cluster:
            assert len(await cluster.list("Pod")) == 5001


ENDS: dict[str, Answer] = {
    "at once": (200, b""),
    "too old": (200, b'{"type": "ERROR", "object": {"code": 410, "message": "too old resource version"}}\n'),
    "too old to begin": (410, {"message": "too old resource version"}),
    "a page": (200, PAGE + b"\n"),
    "half of an event": (200, b'{"type": "MODI'),
    "no event": (200, b"[]\n"),
    "an answer that is no event": (200, b'{"kind": "Status"}\n'),
    "an event of nothing": (200, b'{"type": "MODIFIED"}\n'),
    "too many requests": (429, {"message": "slow down"}),
    "an error": (500, PAGE),
}


@pytest.mark.parametrize("end", ENDS)
async def test_a_watch_that_ends_in_any_way_is_taken_up_again(end: str, tmp_path: Path) -> None:
    watches = iter([ENDS[end], (200, b'{"type": "MODIFIED", "object": {"metadata": {"name": "last"}}}\n')])

    def answer(method: str, path: str, body: dict[str, Any]) -> Answer:
        if "watch=true" in path:
            return next(watches)
        return 200, {**VERSION, "items": [], "metadata": {"resourceVersion": "1"}}

    told: list[str] = []
    with serving(answer) as url, anyio.fail_after(20):
        async with connection(url, tmp_path) as cluster, aclosing(cluster.watch("Pod")) as changes:
            async for change in changes:
                told.append(change.type)
                if change.type == "MODIFIED":
                    assert change.object["metadata"]["name"] == "last"
                    break
    assert told == ["LISTED", "LISTED", "MODIFIED"]


@contextmanager
def abandoned() -> Iterator[list[str]]:
    """The generators of paude's that somebody left half-way, for the event loop to end in a task of its own."""
    found: list[str] = []
    before = sys.get_asyncgen_hooks()

    def told(one: AsyncGenerator[Any, Any]) -> None:
        if "/paude/backends/" in one.ag_code.co_filename:
            found.append(one.ag_code.co_qualname)
        if before.finalizer is not None:
            before.finalizer(one)

    sys.set_asyncgen_hooks(firstiter=before.firstiter, finalizer=told)
    try:
        yield found
        gc.collect()
    finally:
        sys.set_asyncgen_hooks(*before)


async def test_a_watch_ends_with_who_watches(tmp_path: Path) -> None:
    one = {"metadata": {"name": "one", "uid": "u"}}

    def answer(method: str, path: str, body: dict[str, Any]) -> Answer:
        if "watch=true" in path:
            return 200, json.dumps({"type": "DELETED", "object": one}).encode() + b"\n"
        return 200, {**VERSION, "items": [one], "metadata": {"resourceVersion": "1"}}

    with serving(answer) as url, anyio.fail_after(20), abandoned() as left:
        async with connection(url, tmp_path) as cluster:
            assert await ownership.gone(cluster, "Pod", "one", "u", 10)
    assert left == []
