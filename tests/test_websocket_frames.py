"""The frames of `tests/conformance/frames.py` on a real server, whole and byte by byte."""

import socket
import struct
import zlib
from collections.abc import Iterator

import pytest

from tests.conformance.frames import CASES, CLOSE, PING, PONG, Frames, frame
from tests.live import Client, Live
from tests.test_websocket import Told, echo, handshake, sockets

SHORT = 64
"""So long sequences are also sent byte by byte."""


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with sockets(echo(Told())) as live:
        yield live


def name(case: Frames) -> str:
    return f"{case.section}: {case.name}"


def received(client: Client) -> tuple[int, bytes]:
    """The next frame of the server, inflated."""
    first, length = exactly(client, 2)
    assert length < 128, "a server doesn't mask"
    if length > 125:
        size = 2 if length == 126 else 8
        [length] = struct.unpack("!H" if size == 2 else "!Q", exactly(client, size))
    data = exactly(client, length)
    if first & 0x40:
        data = zlib.decompressobj(-15).decompress(data + b"\0\0\xff\xff")
    assert first & 0x80, "it has no reason for fragments"
    return first & 15, data


def exactly(client: Client, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = client.socket.recv(size - len(data))
        assert piece, f"closed after {data!r}"
        data += piece
    return data


def demand(live: Live, case: Frames, pieces: list[bytes]) -> None:
    with live.client() as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        assert b" 101 " in handshake(client, *case.fields)
        for piece in pieces:
            client.send(piece)
        for wanted in case.echoed:
            assert received(client) == wanted
        if case.code is None:
            client.send(frame(PING, b"still there"))
            assert received(client) == (PONG, b"still there")
            return
        kind, data = received(client)
        assert kind == CLOSE
        assert data[:2] == (struct.pack("!H", case.code) if case.code else b"")
        data[2:].decode()
        assert client.rest() == b"", "the server closes first, and says nothing more"


@pytest.mark.parametrize("case", CASES, ids=name)
def test_frames(live: Live, case: Frames) -> None:
    demand(live, case, [case.sent])
    if len(case.sent) <= SHORT:
        demand(live, case, [bytes([byte]) for byte in case.sent])
    if len(case.sent) > 1:
        demand(live, case, [case.sent[:1], case.sent[1:]])


def test_each_case_has_its_own_name() -> None:
    assert len({name(case) for case in CASES}) == len(CASES) >= 100
