"""The port-forward tunnel against a real websocket peer that speaks the kubelet's protocol."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import ByteStream, SocketAttribute, SocketStream

from kubelet_peer import Kubelet, kubelet
from paude.errors import ConnectionLost, Forbidden, LoginExpired, SessionGone
from paude.tunnel.pinned import PinnedDialer, PodReplaced
from paude.tunnel.portforward import ApiAccess, PodPortForward, PortForwardStream
from relay import Relay, relay

PORT = 2222


class Access:
    """Hands out a token; the second is the one after re-authentication."""

    def __init__(self, server: str, *tokens: str) -> None:
        self.server, self.tokens, self.asked = server, tokens, []

    async def __call__(self, again: bool) -> ApiAccess:
        self.asked.append(again)
        token = self.tokens[min(len(self.asked), len(self.tokens)) - 1]
        return ApiAccess(self.server, None, {"Authorization": f"Bearer {token}"})


def dialer(peer: Kubelet, *tokens: str, server: str | None = None) -> PodPortForward:
    return PodPortForward(Access(server or peer.url, *(tokens or ("good",))), "work", "paude-x-0")


@asynccontextmanager
async def program(handler) -> AsyncIterator[int]:
    """A TCP server in the 'pod'."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, handler)
        yield listener.extra(SocketAttribute.local_port)
        tasks.cancel_scope.cancel()


async def echo(stream: SocketStream) -> None:
    async with stream:
        async for chunk in stream:
            await stream.send(chunk)


@asynccontextmanager
async def through_a_relay() -> AsyncIterator[tuple[Relay, PortForwardStream]]:
    """A stream to an echoing program, over a link that can fail."""
    async with program(echo) as port, kubelet({PORT: port}) as peer, relay(("127.0.0.1", peer.port)) as link:
        stream = await dialer(peer, server=f"http://127.0.0.1:{link.port}").dial(PORT)
        async with stream:
            yield link, stream


async def read_all(stream: ByteStream) -> bytes:
    with anyio.fail_after(10):
        return b"".join([part async for part in stream])


async def test_bytes_come_back_exactly_and_no_message_is_fragmented_or_over_64_kib():
    payload = os.urandom(3 * 1024 * 1024 + 17)
    digest, size = hashlib.sha256(), 0
    async with program(echo) as port, kubelet({PORT: port}) as peer:
        stream = await dialer(peer).dial(PORT)
        async with stream, anyio.create_task_group() as tasks:
            tasks.start_soon(stream.send, payload)
            with anyio.fail_after(30):
                while size < len(payload):
                    part = await stream.receive()
                    digest.update(part)
                    size += len(part)
        assert digest.digest() == hashlib.sha256(payload).digest()
        assert peer.frames_were_whole
        assert max(peer.messages) == 64 * 1024 + 1


async def test_receive_gives_no_more_than_asked_and_loses_nothing():
    async with program(echo) as port, kubelet({PORT: port}) as peer, await dialer(peer).dial(PORT) as stream:
        await stream.send(b"abcdefgh")
        with anyio.fail_after(5):
            got = [await stream.receive(3), await stream.receive(3), await stream.receive(3)]
        assert got == [b"abc", b"def", b"gh"]


async def test_the_end_of_the_program_is_the_end_of_the_stream_after_its_last_byte():
    async def last_words(stream: SocketStream) -> None:
        await stream.send(b"x" * 100_000)
        await stream.aclose()

    async with program(last_words) as port, kubelet({PORT: port}) as peer, await dialer(peer).dial(PORT) as stream:
        assert len(await read_all(stream)) == 100_000


async def test_end_of_our_input_does_not_cut_off_the_answer():
    async def answer(stream: SocketStream) -> None:
        await stream.receive()
        await stream.send(b"y" * 1_024_000)
        await stream.aclose()

    async with program(answer) as port, kubelet({PORT: port}) as peer, await dialer(peer).dial(PORT) as stream:
        await stream.send(b"request")
        await stream.send_eof()
        assert len(await read_all(stream)) == 1_024_000


async def test_401_brings_fresh_credentials_once():
    async with program(echo) as port, kubelet({PORT: port}) as peer:
        way = dialer(peer, "stale", "good")
        async with await way.dial(PORT):
            pass
        assert way.access.asked == [False, True]


async def test_401_twice_is_an_expired_login_and_is_not_tried_again():
    async with kubelet({}) as peer:
        with pytest.raises(LoginExpired):
            await dialer(peer, "stale").dial(PORT)
        assert len(peer.requests) == 2


@pytest.mark.parametrize(
    ("code", "error"), [(403, Forbidden), (404, SessionGone), (500, ConnectionLost), (429, ConnectionLost)]
)
async def test_a_refusal_is_named_and_tried_once(code: int, error: type[Exception]):
    async with kubelet({}) as peer:
        peer.refuse = (code, "because I say so")
        with pytest.raises(error) as caught:
            await dialer(peer).dial(PORT)
        assert "because I say so" in caught.value.why
        assert len(peer.requests) == 1


async def test_a_refusal_whose_last_words_come_late_is_read_to_its_end():
    async def refuse(stream: SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 17\r\n\r\nbecause I ")
            await anyio.wait_all_tasks_blocked()
            await stream.send(b"say")
            await anyio.wait_all_tasks_blocked()
            await stream.send(b" so.")
            await anyio.sleep_forever()

    async with program(refuse) as port:
        way = PodPortForward(Access(f"http://127.0.0.1:{port}", "good"), "work", "paude-x-0")
        with pytest.raises(Forbidden, match="because I say so"), anyio.fail_after(5):
            await way.dial(PORT)


async def test_a_redirect_is_not_followed():
    async def redirect(stream: SocketStream) -> None:
        async with stream:
            await stream.receive()
            where = f"ws://127.0.0.1:{peer.port}/elsewhere"
            await stream.send(f"HTTP/1.1 302 Found\r\nLocation: {where}\r\nContent-Length: 0\r\n\r\n".encode())

    async with kubelet({}) as peer, program(redirect) as port:
        with pytest.raises(ConnectionLost, match="302"):
            await dialer(peer, server=f"http://127.0.0.1:{port}").dial(PORT)
        assert not peer.requests


async def test_missing_rights_are_named_with_verb_and_resource():
    async with kubelet({}) as peer:
        peer.refuse = (403, "no")
        with pytest.raises(Forbidden) as caught:
            await dialer(peer).dial(PORT)
        assert "create pods/portforward" in caught.value.why
        assert "work" in caught.value.why


async def test_an_api_server_that_is_not_there_is_a_lost_connection():
    way = PodPortForward(Access("http://127.0.0.1:1", "good"), "work", "paude-x-0")
    with pytest.raises(ConnectionLost):
        await way.dial(PORT)


async def test_a_port_where_nobody_listens_breaks_off_with_the_clusters_words_made_safe():
    async with kubelet({}) as peer:
        async with await dialer(peer).dial(PORT) as stream:
            with pytest.raises(ConnectionLost) as caught, anyio.fail_after(5):
                await stream.receive()
        assert "connection refused" in caught.value.why
        assert "\x1b" not in caught.value.why


async def test_a_cut_link_breaks_the_stream_for_reader_and_writer():
    async with through_a_relay() as (link, stream):
        await stream.send(b"a")
        await stream.receive()
        link.cut()
        with pytest.raises(anyio.BrokenResourceError), anyio.fail_after(5):
            await stream.receive()
        with pytest.raises(ConnectionLost), anyio.fail_after(5):
            await stream.send(b"b")


async def test_a_black_hole_is_noticed_within_the_allowance_once_suspected():
    async with through_a_relay() as (link, stream):
        await stream.send(b"a")
        await stream.receive()
        link.stall()
        stream.suspect(0.2)
        with pytest.raises(ConnectionLost) as caught, anyio.fail_after(5):
            await stream.receive()
        assert "moves" in caught.value.why


async def test_a_stream_that_is_over_may_be_suspected():
    async with through_a_relay() as (link, stream):
        link.cut()
        with pytest.raises(ConnectionLost), anyio.fail_after(5):
            await stream.receive()
        stream.suspect(0.2)


async def test_a_living_stream_survives_suspicion():
    async with program(echo) as port, kubelet({PORT: port}) as peer, await dialer(peer).dial(PORT) as stream:
        for _ in range(3):
            stream.suspect(0.2)
            await stream.send(b"a")
            with anyio.fail_after(5):
                assert await stream.receive() == b"a"


async def test_a_writer_waits_for_a_reader_in_the_pod_that_does_not_read():
    reading = anyio.Event()

    async def sleepy(stream: SocketStream) -> None:
        async with stream:
            got = len(await stream.receive())  # anyio reads ahead without bounds until the first receive
            await reading.wait()
            while got < size:
                got += len(await stream.receive())
            await stream.send(b"all")

    size = 64 * 1024 * 1024
    async with program(sleepy) as port, kubelet({PORT: port}) as peer, await dialer(peer).dial(PORT) as stream:
        chunk, sent = b"z" * 65536, 0
        with anyio.move_on_after(0.5):
            while sent < size:
                await stream.send(chunk)
                sent += len(chunk)
        assert sent < size / 2, "all buffers on the way together are bounded"
        # the cancelled send may or may not have left; what is left of the count is sent on top
        reading.set()
        with anyio.fail_after(20):
            while sent < size:
                await stream.send(chunk)
                sent += len(chunk)
            assert await stream.receive() == b"all"


async def test_closing_twice_and_closing_while_a_reader_waits_are_harmless():
    async with program(echo) as port, kubelet({PORT: port}) as peer:
        stream = await dialer(peer).dial(PORT)
        ended = anyio.Event()

        async def reader() -> None:
            with pytest.raises(anyio.ClosedResourceError):
                await stream.receive()
            ended.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(reader)
            await anyio.wait_all_tasks_blocked()
            await stream.aclose()
            await stream.aclose()
            with anyio.fail_after(5):
                await ended.wait()
        with pytest.raises(anyio.ClosedResourceError):
            await stream.send(b"late")


async def test_a_cancelled_read_loses_nothing():
    async with program(echo) as port, kubelet({PORT: port}) as peer, await dialer(peer).dial(PORT) as stream:
        with anyio.move_on_after(0.05):
            await stream.receive()
        await stream.send(b"still here")
        with anyio.fail_after(5):
            assert await stream.receive() == b"still here"


async def test_closing_takes_no_more_than_a_second_when_nobody_answers():
    async with program(echo) as port, kubelet({PORT: port}) as peer, relay(("127.0.0.1", peer.port)) as link:
        stream = await dialer(peer, server=f"http://127.0.0.1:{link.port}").dial(PORT)
        link.stall()
        with anyio.fail_after(2):
            await stream.aclose()


async def test_a_dial_after_the_pod_was_replaced_says_so_once_and_then_goes_to_the_new_one():
    uids = ["a", "", "a", "b", "b"]

    async def uid() -> str:
        return uids.pop(0)

    async with program(echo) as port, kubelet({PORT: port}) as peer:
        way = PinnedDialer(dialer(peer), uid)
        for _ in range(3):  # the second time the cluster does not say
            await (await way.dial(PORT)).aclose()
        with pytest.raises(PodReplaced):
            await way.dial(PORT)
        async with await way.dial(PORT) as stream:
            await stream.send(b"x")
            with anyio.fail_after(5):
                assert await stream.receive() == b"x"


async def test_a_pinned_dial_that_fails_says_why_and_asks_no_longer():
    async def uid() -> str:
        await anyio.sleep_forever()
        raise AssertionError("unreachable")

    async with kubelet({}) as peer:
        peer.refuse = (404, "because I say so")
        with pytest.raises(SessionGone), anyio.fail_after(5):
            await PinnedDialer(dialer(peer), uid).dial(PORT)
