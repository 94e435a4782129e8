"""Frames of a server, however the network cuts them; written by another implementation of the protocol."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from paude.tunnel.frames import BadFrame, Control, Part, ServerFrames

CONTROLS = (Opcode.PING, Opcode.PONG, Opcode.CLOSE)
messages = st.binary(max_size=300) | st.integers(120, 130).map(bytes) | st.integers(65530, 65540).map(bytes)


@st.composite
def conversations(draw: st.DrawFn) -> tuple[list[bytes], list[bytes], bytes]:
    """Messages, some in several frames with control frames between; control frames; all of it as bytes."""
    said, controls, raw = [], [], b""
    for message in draw(st.lists(messages, max_size=6)):
        said.append(message)
        cuts = sorted(draw(st.lists(st.integers(0, len(message)), max_size=2)))
        pieces = [message[a:b] for a, b in zip([0, *cuts], [*cuts, len(message)], strict=True)]
        for number, piece in enumerate(pieces):
            if draw(st.booleans()):
                controls.append(
                    Frame(draw(st.sampled_from(CONTROLS)), draw(st.binary(max_size=125))).serialize(mask=False)
                )
                raw += controls[-1]
            opcode = Opcode.CONT if number else Opcode.BINARY
            raw += Frame(opcode, piece, fin=number == len(pieces) - 1).serialize(mask=False)
    return said, controls, raw


def heard(chunks: list[bytes]) -> tuple[list[bytes], list[bytes]]:
    """The messages and the control frames that were found."""
    frames, said, controls, ended = ServerFrames(), [], [], True
    for chunk in chunks:
        for found in frames.feed(chunk):
            if isinstance(found, Control):
                controls.append(found.raw)
                continue
            assert isinstance(found, Part)
            assert found.first is ended
            said[len(said) - (not found.first) :] = [(b"" if found.first else said[-1]) + bytes(found.data)]
            ended = found.last
    assert ended
    return said, controls


@given(conversations(), st.data())
def test_messages_and_control_frames_come_whole_and_in_order_however_they_are_cut(conversation, data):
    said, controls, raw = conversation
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=8)))
    chunks = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    assert heard(chunks) == (said, controls)


@given(conversations())
def test_byte_by_byte(conversation):
    said, controls, raw = conversation
    if len(raw) < 3000:
        assert heard([raw[n : n + 1] for n in range(len(raw))]) == (said, controls)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (Frame(Opcode.BINARY, b"x").serialize(mask=True), "mask"),
        (b"\xc2\x01x", "reserved"),
        (b"\x81\x01x", "kind 1"),
        (b"\x80\x01x", "kind 0"),
        (b"\x02\x01x\x82\x01y", "kind 2"),
        (b"\x89\x7f" + (1 << 40).to_bytes(8, "big"), "too long"),
    ],
    ids=["masked", "compressed", "text", "a continuation of nothing", "a message in a message", "a long ping"],
)
def test_what_a_server_must_not_send_breaks_off(raw: bytes, why: str):
    with pytest.raises(BadFrame, match=why):
        list(ServerFrames().feed(raw))
