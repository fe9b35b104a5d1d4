"""What one client can make the server hold, or do: bounded, whatever it sends and never reads."""

import asyncio
import itertools
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from websockets.frames import Opcode

from nbio import Request, Response
from nbio.chunked import ChunkedDecoder
from nbio.errors import Refusal
from nbio.hub import SCRATCH
from nbio.websocket_parts import Parts
from tests.live import TIMEOUT, Client, Live, get, post, serving
from tests.test_websocket import Told, echo, frame, handshake, sockets
from tests.test_websocket_limits import only_connection

LIMIT = 65536
HIGH_WATER = 65536


def flood(client: Client, request: Callable[[], bytes], times: int) -> tuple[int, bytes]:
    """Send requests until there is no room; how many went, and the rest of one more."""
    client.socket.settimeout(0.5)
    for number in range(times):
        rest = request()
        try:
            while rest:
                rest = rest[client.socket.send(rest) :]
        except TimeoutError:
            client.socket.settimeout(TIMEOUT)
            return number, rest
    raise AssertionError(f"the server took {times} of them")


LARGE = 8_000_000
"""More than the kernel takes for a client that doesn't read."""


async def large(request: Request) -> Response:
    """A large response first, and then small ones."""
    number = int(request.path[1:])
    return Response(b"%d." % number + bytes(20_000 if number else LARGE))


def unread(live: Live, client: Client) -> Any:
    """Ask for a large response, and don't read it; the connection, when its buffer is full."""
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    client.send(get("/0"))
    while not (held := only_connection(live)).write_paused:
        pass
    return held


def answered(client: Client, count: int) -> bool:
    """Whether there is an answer to each of so many requests, in their order; reads them all."""
    received = b""
    while received.count(b"HTTP/1.1 200") < count or not received.endswith(b"\0"):
        piece = client.socket.recv(1 << 20)
        if not piece:
            break
        received += piece
    heads = received.split(b"HTTP/1.1 200 OK\r\n")[1:]
    numbers = [part.split(b"\r\n\r\n")[1].split(b".")[0] for part in heads]
    return numbers == [b"%d" % number for number in range(count)]


def test_requests_of_a_client_that_reads_no_response_are_not_read() -> None:
    with serving(large, max_pipelined=LIMIT) as live, live.client() as client:
        held = unread(live, client)
        requests = itertools.count(1)
        sent, rest = flood(client, lambda: get(f"/{next(requests)}", f"X: {'y' * 60_000}"), 800)
        assert held._transport.get_write_buffer_size() <= HIGH_WATER + LARGE
        assert len(held._receiver.pending) <= LIMIT + 2 * SCRATCH
        # And nothing is lost.
        sender = threading.Thread(target=client.send, args=(rest,))
        sender.start()
        assert answered(client, sent + 2)
        sender.join(TIMEOUT)


def test_a_client_that_ends_its_half_before_it_reads_gets_all_answers() -> None:
    with serving(large) as live, live.client() as client:
        held = unread(live, client)
        client.send(b"".join(get(f"/{number}") for number in range(1, 10)))
        client.end()
        while not (held._receiver.begun or held._eof):
            live.run(asyncio.sleep(0))
        assert answered(client, 10)
        # Of the last body's zeros some may still come, but nothing else.
        assert set(client.rest()) <= {0}


def test_requests_that_come_faster_than_they_are_served_wait_in_the_kernel() -> None:
    most = 0
    live: Live

    async def handler(request: Request) -> Response:
        nonlocal most
        hub: Any = live.server._hub
        [connection] = hub.connections
        most = max(most, len(connection._receiver.pending))
        return Response()

    count = 2000
    with serving(handler, max_pipelined=LIMIT) as live, live.client() as client:
        request = get("/", f"X: {'y' * 8000}")
        sender = threading.Thread(target=client.send, args=(request * count,))
        sender.start()
        received = b""
        while received.count(b"HTTP/1.1 200") < count:
            received = received[-20 * count :] + client.socket.recv(1 << 20)
            if received.endswith(b"\r\n\r\n"):
                count -= received.count(b"HTTP/1.1 200")
                received = b""
        sender.join(TIMEOUT)
    assert LIMIT < most <= LIMIT + 2 * SCRATCH


@pytest.mark.parametrize("cut", [20, -3])
def test_what_waits_unfinished_behind_too_much_is_finished(cut: int) -> None:
    began, go = threading.Event(), threading.Event()

    async def handler(request: Request) -> Response:
        if request.path == "/first":
            began.set()
            await asyncio.to_thread(go.wait, TIMEOUT)
        return Response(await request.body.read())

    whole = post(b"a body", path="/second")
    with serving(handler, max_pipelined=1) as live, live.client() as client:
        client.send(get("/first"))
        assert began.wait(TIMEOUT)
        client.send(whole[:cut])
        held = only_connection(live)
        while not held._paused:
            live.run(asyncio.sleep(0))
        go.set()
        assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 200")
        client.send(whole[cut:])
        assert client.answer().body == b"a body"


@pytest.mark.parametrize("fields", [(), ("Sec-WebSocket-Extensions: permessage-deflate",)])
def test_of_pings_that_nobody_reads_the_answers_to_only_the_last_is_kept(
    fields: tuple[str, ...],
) -> None:
    with sockets(echo(Told())) as live, live.client() as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        handshake(client, *fields)
        pings = frame(Opcode.PING, bytes(125)) * 1000
        for _ in range(200):
            client.send(pings)
        client.send(frame(Opcode.PING, b"the last"))
        held = only_connection(live)
        while held._pong[2:] != b"the last":
            live.run(asyncio.sleep(0))
        assert held._transport.get_write_buffer_size() <= HIGH_WATER + 127 * 2100
        received = b""
        while not received.endswith(b"\x8a\x08the last"):
            received = received[-20:] + client.socket.recv(1 << 20)
        client.send(frame(Opcode.CLOSE, b"\x03\xe8"))
        assert client.rest() == b"\x88\x02\x03\xe8"


@pytest.mark.parametrize("size", [0, 1, 2])
def test_a_message_in_many_fragments_costs_its_bytes(size: int) -> None:
    data = [bytes(size) for _ in range(100_000)]
    parts = Parts()
    tracemalloc.start()
    try:
        for part in data:
            assert parts.take(part, False) is None
        assert tracemalloc.get_traced_memory()[0] < 2 * size * len(data) + 10_000
    finally:
        tracemalloc.stop()
    assert parts.take(b"end", True) == b"".join(data) + b"end"
    assert parts.take(b"a whole one", True) == b"a whole one"


def test_a_trailer_of_spaces_costs_no_time() -> None:
    decoder = ChunkedDecoder(max_body=0)

    class Nowhere:
        def feed(self, data: bytes | bytearray | memoryview) -> bool:
            return False

        def feed_block(self, block: bytearray, n: int) -> tuple[bytearray | None, bool]:
            return block, False

        def finish(self) -> None:
            raise AssertionError

    data = b"0\r\na:" + b" " * 16_000 + b"\x01\r\n\r\n"
    before = time.thread_time()
    with pytest.raises(Refusal):
        decoder.decode(data, 0, len(data), Nowhere())
    # Each way to divide the spaces, tried one after the other, took more than a second.
    assert time.thread_time() - before < 0.1
