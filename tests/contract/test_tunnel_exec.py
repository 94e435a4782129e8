"""The exec tunnel against a real websocket peer that speaks the kubelet's protocol and runs real programs."""

from __future__ import annotations

import os
from urllib.parse import parse_qs, urlsplit

import anyio
import pytest
from anyio.abc import ByteStream

from kubelet_peer import Kubelet, kubelet
from paude.errors import Forbidden
from paude.tunnel.base import TunnelLost
from paude.tunnel.portforward import ApiAccess, PodExec


async def dial(peer: Kubelet, *words: str, port: int = 5000) -> ByteStream:
    async def access(again: bool) -> ApiAccess:
        return ApiAccess(peer.url, None, {"Authorization": "Bearer good"})

    return await PodExec(access, "team", "relay", lambda wanted: (*words, str(wanted))).dial(port)


async def read_all(stream: ByteStream) -> bytes:
    with anyio.fail_after(20):
        return b"".join([part async for part in stream])


async def test_bytes_of_both_directions_are_exact_and_the_words_of_the_command_arrive_as_they_are() -> None:
    payload = os.urandom(3 * 1024 * 1024 + 17)
    script = f'head -c {len(payload)}; echo "$0 & \\"$1\\" é $2"'
    async with (
        kubelet({}) as peer,
        await dial(peer, "sh", "-c", script, "a b", "100%") as stream,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(stream.send, payload)
        came = await read_all(stream)
    assert came == payload + 'a b & "100%" é 5000\n'.encode()
    asked = parse_qs(urlsplit(peer.requests[-1]).query)
    assert urlsplit(peer.requests[-1]).path == "/api/v1/namespaces/team/pods/relay/exec"
    assert (asked["stdin"], asked["stdout"], asked["stderr"]) == (["true"], ["true"], ["true"])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("sh", "-c", "echo refused >&2; exit 1"), "refused"),
        (("sh", "-c", "exit 3"), "ended with 3"),
        (("/no/such/program",), "no such program"),
    ],
)
async def test_a_program_that_fails_says_why_the_stream_broke_off(words: tuple[str, ...], told: str) -> None:
    async with kubelet({}) as peer, await dial(peer, *words) as stream:
        with pytest.raises(TunnelLost, match=told):
            await read_all(stream)


async def test_what_a_program_printed_before_it_failed_is_not_lost() -> None:
    async with kubelet({}) as peer, await dial(peer, "sh", "-c", "printf last; exit 1") as stream:
        with anyio.fail_after(20):
            assert await stream.receive() == b"last"
            with pytest.raises(TunnelLost, match="ended with 1"):
                await stream.receive()


async def test_a_missing_right_is_named() -> None:
    async with kubelet({}) as peer:
        peer.refuse = (403, "no")
        with pytest.raises(Forbidden, match=r"create pods/exec"):
            await dial(peer, "true")
