"""A PROXY preface in clear, and TLS behind it on the same connection."""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
import trustme

from nbio import Request, Response
from nbio.proxy import V2_SIGNATURE, missing
from nbio.server import loop_factory
from nbio.testing import Served, serve
from tests.ops.commands import TIMEOUT
from tests.ops.test_proxy import V1, V2
from tests.ops.test_tls import ASK, client_context, issue

R = TypeVar("R")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(params=["asyncio", "uvloop"])
def _loop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both loops, where there are two."""
    found = loop_factory() if request.param == "uvloop" else None
    if request.param == "uvloop" and found is None:
        pytest.skip("no uvloop")
    monkeypatch.setattr("nbio.testing.serving.loop_factory", lambda: found)


pytestmark = pytest.mark.usefixtures("_loop")


async def tells(request: Request) -> Response:
    size = len(await request.body.read())
    return Response(f"{request.client} {request.scheme} {size}")


@contextlib.contextmanager
def served(authority: trustme.CA, folder: Path, **options: object) -> Iterator[Served]:
    path, _ = issue(authority, folder)
    known = {"trusted_proxies": ("127.0.0.1",), "proxy_protocol": True, "ssl_certfile": str(path)}
    with serve(tells, **{**known, **options}) as found:
        yield found


class Client:
    """TLS by hand: the first flight is the caller's to cut."""

    def __init__(self, server: Served, context: ssl.SSLContext) -> None:
        self.server = server
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._secure = context.wrap_bio(self._in, self._out, server_hostname="localhost")

    def hello(self) -> bytes:
        with pytest.raises(ssl.SSLWantReadError):
            self._secure.do_handshake()
        return self._out.read()

    def send(self, *pieces: bytes) -> None:
        """Send pieces; the server has read each before the next is sent."""
        for piece in pieces:
            self.socket.sendall(piece)
            for _ in range(2):
                self.server.run(asyncio.sleep(0))

    def ask(self, data: bytes = ASK) -> bytes:
        """Shake hands, and send the request together with the last of the handshake."""
        self._step(self._secure.do_handshake)
        self._step(lambda: self._secure.write(data))
        self.socket.sendall(self._out.read())
        answer = b""
        while piece := self._step(lambda: self._secure.read(65536)):
            answer += piece
        # The server waits for this, as for any client's goodbye.
        self.socket.close()
        return answer

    def _step(self, call: Callable[[], R]) -> R:
        while True:
            try:
                return call()
            except ssl.SSLWantReadError:
                self.socket.sendall(self._out.read())
                data = self.socket.recv(65536)
                if not data:
                    self._in.write_eof()
                self._in.write(data)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


@pytest.mark.parametrize("before", [V1, V2])
def test_at_every_split(authority: trustme.CA, tmp_path: Path, before: bytes) -> None:
    told = b"('192.0.2.1', 1234) https 0" if before is V1 else b"('1.2.3.4', 99) https 0"
    with served(authority, tmp_path) as server:
        for cut in range(len(before) + 3):
            with Client(server, client_context(authority)) as client:
                first = before + client.hello()
                client.send(*(part for part in (first[:cut], first[cut:]) if part))
                assert client.ask().endswith(told), f"cut at {cut}"
        assert server.server.requests == len(before) + 3


def test_byte_by_byte_and_a_large_upload_behind_it(authority: trustme.CA, tmp_path: Path) -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 900000\r\n\r\n"
    for before in (V1, V2, b"PROXY UNKNOWN\r\n", V2_SIGNATURE + b"\x20\x00\x00\x03\x04\x00\x00"):
        with (
            served(authority, tmp_path) as server,
            Client(server, client_context(authority)) as client,
        ):
            for at in range(len(before)):
                client.socket.sendall(before[at : at + 1])
            client.send(client.hello())
            assert client.ask(head + bytes(900_000)).endswith(b"https 900000")


def test_a_clients_certificate_is_seen_behind_it(authority: trustme.CA, tmp_path: Path) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    options = {"ssl_ca_certs": str(tmp_path / "ca.pem"), "ssl_client_auth": "required"}
    mine = client_context(authority)
    authority.issue_cert("me@example.org").configure_cert(mine)
    with served(authority, tmp_path, **options) as server:
        with Client(server, mine) as client:
            client.send(V2 + client.hello())
            assert client.ask().endswith(b"https 0")
        with Client(server, client_context(authority)) as client:
            client.send(V2 + client.hello())
            with pytest.raises((ssl.SSLError, ConnectionError)):
                client.ask()


def cut(client: Client) -> bool:
    try:
        return client.socket.recv(1000) == b""
    except ConnectionError:
        return True


def test_who_is_not_trusted_or_has_no_preface_is_cut(authority: trustme.CA, tmp_path: Path) -> None:
    with (
        served(authority, tmp_path, trusted_proxies=("10.0.0.1",)) as server,
        Client(server, client_context(authority)) as client,
    ):
        with contextlib.suppress(ConnectionError):
            client.send(V2 + client.hello())
        assert cut(client)
    with served(authority, tmp_path) as server:
        with Client(server, client_context(authority)) as client:
            with contextlib.suppress(ConnectionError):
                client.send(client.hello())
            assert cut(client)
        # In clear behind a preface is nothing that is served either.
        with Client(server, client_context(authority)) as client:
            with contextlib.suppress(ConnectionError):
                client.send(V2 + ASK)
            assert b"HTTP" not in client.socket.recv(1000)
        assert server.server.requests == 0


@pytest.mark.parametrize("sent", [b"", V2[:10], V2])
def test_one_timeout_for_preface_and_handshake(
    authority: trustme.CA, tmp_path: Path, sent: bytes
) -> None:
    with (
        served(authority, tmp_path, ssl_handshake_timeout=0.3, head_timeout=60.0) as server,
        Client(server, client_context(authority)) as client,
    ):
        client.socket.sendall(sent)
        assert cut(client)


def test_a_handshake_under_way_when_the_server_ends(authority: trustme.CA, tmp_path: Path) -> None:
    with (
        served(authority, tmp_path) as server,
        Client(server, client_context(authority)) as client,
    ):
        client.send(V1[:9])
        begun = threading.Event()

        async def stop() -> int:
            asyncio.get_running_loop().call_soon(begun.set)
            await server.server.stop()
            return server.server.requests

        stopping = asyncio.run_coroutine_threadsafe(stop(), server.loop)
        assert begun.wait(TIMEOUT)
        client.socket.sendall(V1[9:] + client.hello())
        assert client.ask().endswith(b"https 0")
        assert stopping.result(TIMEOUT) == 1


def test_no_more_is_asked_for_than_there_must_be() -> None:
    for whole in (V1, V2, b"PROXY TCP6 :: :: 0 0\r\n", b"PROXY UNKNOWN\r\n"):
        at = steps = 0
        while at < len(whole):
            at += missing(whole[:at])
            steps += 1
        assert at == len(whole)
        assert steps < 16
