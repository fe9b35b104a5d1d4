"""Frames that go past the parser: what they say is what the parser would have said."""

import asyncio
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from nbio.config import Config
from nbio.hub import Hub
from nbio.loading import site_for
from nbio.websocket_frames import FramedConnection
from nbio.websocket_plain import BINARY, COLLECTED, TEXT, plain_frame, plain_payload, plain_size

LENGTHS = [0, 1, 5, 125, 126, 127, 1000, 65535, 65536, 70000]


class Sent:
    """A transport that keeps what it is given."""

    def __init__(self) -> None:
        self.data = b""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: False

    def write(self, data: bytes) -> None:
        self.data += data

    def get_write_buffer_size(self) -> int:
        return 0


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    config = Config(ws_max_size=100_000, ws_max_queue=10_000)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        """Never called."""

    loop = asyncio.new_event_loop()
    yield Hub(config, site_for(app, config), loop)
    loop.close()


def frames() -> st.SearchStrategy[bytes]:
    """A client's frame, of any kind, also malformed."""
    lengths = st.sampled_from([0, 1, 2, 125, 126, 300])
    kinds = st.sampled_from([Opcode.TEXT, Opcode.BINARY, Opcode.CONT, Opcode.PING])
    good = st.builds(
        lambda opcode, size: Frame(
            opcode, b"a" * min(size, 125 if opcode is Opcode.PING else size)
        ).serialize(mask=True),
        kinds,
        lengths,
    )
    begun = st.builds(
        lambda opcode, size: Frame(opcode, b"a" * size, False).serialize(mask=True),
        st.sampled_from([Opcode.TEXT, Opcode.BINARY, Opcode.CONT]),
        lengths,
    )
    # A length in more bytes than it needs, no mask, extension bits, and bytes of no sense.
    odd = st.sampled_from(
        [b"\x82\xfe\x00\x01abcdX", b"\x82\x01X", b"\xc2\x81abcdX", b"\x83\x80abcd", b"\x82\xff"]
    )
    return st.one_of(good, good, begun, odd)


def arrive(connection: FramedConnection, data: bytes) -> None:
    """As a kernel has it: as much as there is room for."""
    while data:
        buffer = connection.get_buffer(65536)
        size = min(len(data), len(buffer))
        buffer[:size] = data[:size]
        connection.buffer_updated(size)
        data = data[size:]


def outcome(hub: Hub, data: bytes, cuts: list[int], plain: bool) -> tuple[object, ...]:
    """What a connection makes of bytes that arrive in these pieces."""
    transport: Any = Sent()
    connection = FramedConnection(hub, transport, [], lambda: None)
    connection._plain = plain
    hub.connections.discard(connection)
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for begin, end in itertools.pairwise(edges):
        arrive(connection, data[begin:end])
    return list(connection._messages), connection.closing, connection.ended, transport.data


@given(st.lists(frames(), max_size=6), st.lists(st.integers(0, 2000), max_size=6))
def test_any_frames_in_any_pieces_mean_the_same(
    hub: Hub, sent: list[bytes], cuts: list[int]
) -> None:
    data = b"".join(sent)
    assert outcome(hub, data, cuts, plain=True) == outcome(hub, data, cuts, plain=False)


def test_nothing_within_a_frame_is_taken_for_one(hub: Hub) -> None:
    inner = b"\x82\x80abcd" * 3
    for head in (b"\x82", b"\x02", b"\x89"):
        # Masked by nothing, so that its bytes are those of frames.
        data = head + bytes([0x80 | len(inner)]) + bytes(4) + inner
        for cut in range(1, len(data)):
            found = outcome(hub, data, [cut], plain=True)
            assert found == outcome(hub, data, [cut], plain=False)
            assert found[0] == ([inner] if head == b"\x82" else [])


def test_a_message_within_a_message_is_refused(hub: Hub) -> None:
    begun = Frame(Opcode.BINARY, b"a", False).serialize(mask=True)
    other = Frame(Opcode.BINARY, b"b").serialize(mask=True)
    found = outcome(hub, begun + other, [len(begun)], plain=True)
    assert found == outcome(hub, begun + other, [len(begun)], plain=False)
    assert found[:2] == ([], True)


@pytest.mark.parametrize("length", LENGTHS)
def test_a_large_message_in_pieces_of_any_size(hub: Hub, length: int) -> None:
    data = Frame(Opcode.BINARY, b"x" * length).serialize(mask=True) * 2
    for cuts in ([], [1], [3], [7], [length], [length // 2, length + 9]):
        found = outcome(hub, data, cuts, plain=True)
        # One that is large fills the queue.
        assert found[0] == [b"x" * length] * (2 if length < 65536 else 1)
        assert found == outcome(hub, data, cuts, plain=False)


def test_text_that_is_none_is_refused_by_either(hub: Hub) -> None:
    good, bad = (Frame(Opcode.TEXT, text).serialize(mask=True) for text in (b"a", b"\xc3"))
    found = outcome(hub, good + bad + good, [], plain=True)
    assert found == outcome(hub, good + bad + good, [], plain=False)
    assert found[:2] == (["a"], True)


def test_a_message_beyond_the_limit_is_refused_by_either(hub: Hub) -> None:
    data = Frame(Opcode.BINARY, b"x" * 100_001).serialize(mask=True)
    found = outcome(hub, data, [], plain=True)
    assert found == outcome(hub, data, [], plain=False)
    assert found[2] == (1009, "frame with 100001 bytes exceeds limit of 100000 bytes")


@pytest.mark.parametrize("cut", [2, 7, 500, 999])
def test_a_frame_that_is_arriving_when_the_server_closes(hub: Hub, cut: int) -> None:
    data = Frame(Opcode.BINARY, b"x" * 1000).serialize(mask=True)
    answer = Frame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=True)
    found = []
    for is_plain in (True, False):
        transport: Any = Sent()
        connection = FramedConnection(hub, transport, [], lambda: None)
        connection._plain = is_plain
        arrive(connection, data[:cut])
        connection.close(1000, "")
        arrive(connection, data[cut:] + answer)
        shaken = connection._protocol.close_rcvd is not None
        found.append((list(connection._messages), shaken, connection.ended, transport.data))
    assert found[0] == found[1]
    assert found[0][:3] == ([], True, (1000, ""))


def test_a_large_frame_is_not_given_its_memory_before_it_comes(hub: Hub) -> None:
    transport: Any = Sent()
    roomy = Hub(Config(), hub.site, hub.loop)
    for length, whole in ((COLLECTED - 14, True), (COLLECTED - 13, False)):
        connection = FramedConnection(roomy, transport, [], lambda: None)
        arrive(connection, b"\x82\xff" + length.to_bytes(8, "big") + b"mask")
        assert (connection._arriving is not None) == whole


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("kind", [TEXT, BINARY])
def test_plain_frames_are_the_parsers(kind: int, length: int) -> None:
    payload = b"p" * length
    frame = Frame(Opcode(kind & 15), payload)
    assert plain_frame(kind, payload) == frame.serialize(mask=False)
    masked = frame.serialize(mask=True)
    assert plain_size(b"??" + masked + b"?", 2) == len(masked)
    assert plain_payload(b"??" + masked, 2, len(masked)) == payload
