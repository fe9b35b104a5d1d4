"""Clients that read slowly: kept at the least rate, given up below it, whatever holds the bytes."""

import asyncio
import contextlib
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from nbio import File, Request, Response
from nbio.asgi import Receive, Scope, Send
from tests.live import TIMEOUT, Client, Live, get, post, serving

SIZE = 6_000_000
CLOSE = get("/", "Connection: close")
OPEN = (
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


class Slow(Client):
    """A client whose kernel takes little, so that it is seen what it takes itself."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.socket = socket.socket()
        self.socket.settimeout(TIMEOUT)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 20_000)
        self.socket.connect(("127.0.0.1", port))

    def read(self, piece: int, pause: float, whole: int) -> int:
        """Read a piece at a time, with pauses in between; how many bytes there were."""
        waits = threading.Event()
        got = 0
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while got < whole and (data := self.socket.recv(piece)):
                got += len(data)
                waits.wait(pause)
        return got


async def large(request: Request) -> Response:
    return Response(bytes(SIZE))


async def messages(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while True:
        await send({"type": "websocket.send", "bytes": bytes(SIZE)})


@pytest.fixture
def secured(tmp_path: Path) -> tuple[str, ssl.SSLContext]:
    authority = trustme.CA()
    path = tmp_path / "server.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(path))
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return str(path), context


@contextlib.contextmanager
def served(
    kind: str, secured: tuple[str, ssl.SSLContext], folder: Path, kernel: int = 0, **options: Any
) -> Iterator[tuple[Live, Slow, bytes]]:
    """A server of one kind, whose kernel may take little, a slow client, and what that asks."""
    path = folder / "file"
    path.write_bytes(bytes(SIZE))

    async def file(request: Request) -> Response:
        return Response(File(path))

    app = {"file": file, "websocket": messages}.get(kind, large)
    tls: dict[str, Any] = {"ssl_certfile": secured[0]} if "tls" in kind else {}
    # Neither of these is for a client that still reads.
    options = {"idle_timeout": 1.0, "linger_timeout": 1.0, "ws_ping_timeout": 1.0, **options}
    listening = socket.create_server(("127.0.0.1", 0))
    if kernel:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, kernel)
    tls["fd"] = (str(listening.detach()),)
    with serving(app, **options, **tls, lifespan="off") as live, Slow(live.server.port) as client:
        if "tls" in kind:
            client.socket = secured[1].wrap_socket(client.socket, server_hostname="localhost")
        asked = OPEN if kind == "websocket" else CLOSE if "close" in kind else get()
        yield live, client, asked


KINDS = ["keep-alive", "close", "file", "tls", "tls, close", "websocket"]


@pytest.mark.parametrize("kind", ["close", "file", "tls, close", "websocket"])
def test_a_client_at_the_least_rate_gets_all_of_it(
    kind: str, secured: tuple[str, ssl.SSLContext], tmp_path: Path
) -> None:
    """It takes many periods, and the server's kernel has most of it from the start."""
    options: dict[str, Any] = {"write_timeout": 1.0, "write_min_bytes": 20_000}
    with served(kind, secured, tmp_path, **options) as (_, client, asked):
        began = time.monotonic()
        client.send(asked)
        assert client.read(100_000, 0.007, SIZE) >= SIZE
        assert time.monotonic() - began > 2 * 1.0, "too fast to show anything"


@pytest.mark.parametrize("kind", KINDS)
def test_a_client_below_it_is_given_up(
    kind: str, secured: tuple[str, ssl.SSLContext], tmp_path: Path
) -> None:
    """It takes something in every period. With no least rate it would have it all, in a while."""
    options = {"write_timeout": 0.3, "write_min_bytes": 400_000}
    with served(kind, secured, tmp_path, kernel=20_000, **options) as (live, client, asked):
        client.send(asked)
        assert client.read(20_000, 0.02, SIZE) < SIZE
        while live.server._hub is not None and live.server._hub.connections:
            pass


async def events() -> AsyncIterator[bytes]:
    """A burst, and then so little that no least rate of anybody's would be met."""
    yield bytes(SIZE)
    for _ in range(5):
        yield b"!"
        await asyncio.sleep(0.15)


def test_a_slow_application_is_never_cut_off() -> None:
    async def handler(request: Request) -> Response:
        return Response(events())

    options = {"write_timeout": 0.1, "write_min_bytes": 1_000_000_000}
    with serving(handler, **options) as live, live.client() as client:
        client.send(CLOSE)
        assert client.rest().endswith(b"1\r\n!\r\n0\r\n\r\n")


def paused(live: Live) -> None:
    """Wait until the server can't write on."""
    hub = live.server._hub
    assert hub is not None
    while not any(getattr(one, "write_paused", False) for one in list(hub.connections)):
        pass


def test_an_upload_that_ends_meanwhile_gives_no_more_time() -> None:
    ended = threading.Event()

    async def pieces() -> AsyncIterator[bytes]:
        try:
            while True:
                yield bytes(65536)
        finally:
            ended.set()

    async def handler(request: Request) -> Response:
        return Response(pieces())

    with serving(handler, write_timeout=0.3) as live, Slow(live.server.port) as client:
        upload = post(bytes(1000))
        client.send(upload[:-1])
        paused(live)
        client.send(upload[-1:])
        assert ended.wait(TIMEOUT)


def test_a_next_request_waits_until_the_response_before_is_read() -> None:
    made: list[int] = []

    async def handler(request: Request) -> Response:
        made.append(1)
        return Response(bytes(SIZE))

    with serving(handler, idle_timeout=0.3) as live, Slow(live.server.port) as client:
        client.send(get())
        paused(live)
        half = len(CLOSE) // 2
        client.send(CLOSE[:half])
        assert live.ask(CLOSE).status == 200
        client.send(CLOSE[half:])
        assert live.ask(CLOSE).status == 200
        assert len(made) == 3
        assert client.rest().count(b"HTTP/1.1 200 OK") == 2
