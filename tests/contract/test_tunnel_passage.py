"""Proxies on the way: a tunnel goes through one that knows CONNECT; one that takes the upgrade out is recognised."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from connect_proxy import connect_proxy
from kubelet_peer import kubelet
from paude.tunnel.passage import Verdict, judge, passage
from paude.tunnel.portforward import ApiAccess, PodPortForward

PORT = 2222


async def echo(stream: SocketStream) -> None:
    async with stream:
        async for data in stream:
            await stream.send(data)


@asynccontextmanager
async def pod() -> AsyncIterator[int]:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, echo)
        yield listener.extra(SocketAttribute.local_port)
        tasks.cancel_scope.cancel()


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    return monkeypatch


@pytest.mark.parametrize("by", ["kubeconfig", "environment"])
async def test_the_tunnel_goes_through_a_proxy(no_proxies: pytest.MonkeyPatch, by: str):
    async with pod() as port, kubelet({PORT: port}) as peer, connect_proxy() as proxy:
        if by == "environment":
            no_proxies.setenv("HTTPS_PROXY", proxy.url)

        async def access(again: bool) -> ApiAccess:
            headers = {"Authorization": "Bearer good"}
            return ApiAccess(peer.url, None, headers, proxy.url if by == "kubeconfig" else None)

        async with await PodPortForward(access, "work", "paude-x-0").dial(PORT) as stream:
            await stream.send(b"hello")
            with anyio.fail_after(5):
                assert await stream.receive() == b"hello"
        assert proxy.asked == [f"127.0.0.1:{peer.port}"]


async def test_a_host_that_is_excepted_is_reached_without_the_proxy(no_proxies: pytest.MonkeyPatch):
    no_proxies.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    no_proxies.setenv("NO_PROXY", "127.0.0.1")
    async with pod() as port, kubelet({PORT: port}) as peer:

        async def access(again: bool) -> ApiAccess:
            return ApiAccess(peer.url, None, {"Authorization": "Bearer good"})

        async with await PodPortForward(access, "work", "paude-x-0").dial(PORT) as stream:
            await stream.send(b"x")
            with anyio.fail_after(5):
                assert await stream.receive() == b"x"


async def test_a_server_that_upgrades_lets_websockets_through(no_proxies: pytest.MonkeyPatch):
    async with kubelet({}) as peer:
        found = await passage(ApiAccess(peer.url, None, {"Authorization": "Bearer good"}), "work")
    assert found.verdict is Verdict.OPEN


async def test_a_way_that_takes_the_upgrade_out_is_recognised(no_proxies: pytest.MonkeyPatch):
    async def plain(stream: SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, plain)
        url = f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
        found = await passage(ApiAccess(url, None, {}), "work")
        tasks.cancel_scope.cancel()
    assert found.verdict is Verdict.CLOSED
    assert "takes the request" in found.why


async def test_a_server_that_is_not_there_says_nothing_about_websockets(no_proxies: pytest.MonkeyPatch):
    assert (await passage(ApiAccess("http://127.0.0.1:1", None, {}), "work")).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, Verdict.CLOSED),
        (400, Verdict.CLOSED),
        (502, Verdict.CLOSED),
        (401, Verdict.UNKNOWN),
        (403, Verdict.UNKNOWN),
    ],
)
def test_what_an_answer_means(status: int, verdict: Verdict):
    assert judge(status).verdict is verdict


@pytest.mark.cluster
async def test_a_real_api_server_upgrades_a_watch(no_proxies: pytest.MonkeyPatch, tmp_path: Path):
    from test_tunnel_cluster import Access

    assert (await passage(await Access(tmp_path)(False), "default")).verdict is Verdict.OPEN
