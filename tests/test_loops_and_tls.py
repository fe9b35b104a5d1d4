"""What depends on the loop or the transport: plain asyncio beside uvloop, and TLS."""

import asyncio
import hashlib
import queue
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect as asyncio_connect
from websockets.sync.client import connect

from nbio import File, Request, Response
from nbio.asgi import Receive, Scope, Send
from tests.live import TIMEOUT, Answer, Client, Live, get, serving

DATA = hashlib.shake_128(b"loops").digest(3_000_000)


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers run on asyncio's own loop."""
    monkeypatch.setattr("tests.live.loop_factory", lambda: None)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    return path


async def socket_echo(scope: Scope, receive: Receive, send: Send) -> None:
    assert scope["type"] == "websocket"
    await receive()
    await send({"type": "websocket.accept", "subprotocol": None})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": scope["scheme"] + message["text"]})


@pytest.mark.usefixtures("plain")
def test_files_on_plain_asyncio(file: Path) -> None:
    async def handler(request: Request) -> Response:
        return Response(File(file))

    with serving(handler) as live, live.client() as client:
        assert type(live.loop).__module__.startswith("asyncio")
        for _ in range(2):
            assert client.ask(get()).body == DATA
        left = live.client()
        left.send(get())
        left.until(b"\r\n\r\n")
        left.reset()
        assert client.ask(get()).body == DATA


@pytest.mark.usefixtures("plain")
def test_websockets_on_plain_asyncio() -> None:
    with serving(socket_echo, lifespan="off") as live:
        url = f"ws{live.server.url[4:]}"
        with connect(url, proxy=None, open_timeout=TIMEOUT) as client:
            client.send("x" * 100_000)
            assert client.recv(TIMEOUT) == "ws" + "x" * 100_000


def endless(closed: threading.Event) -> Iterator[bytes]:
    try:
        while True:
            yield bytes(10_000)
    finally:
        closed.set()


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("interface", ["wsgi", "native"])
def test_a_stream_whose_client_left_ends_and_does_not_hold_the_loop(interface: str) -> None:
    closed = threading.Event()

    def wsgi(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        return endless(closed)

    async def native(request: Request) -> Response:
        return Response(endless(closed))

    with serving(wsgi if interface == "wsgi" else native) as live:
        client = live.client()
        client.send(get())
        client.until(b"\r\n\r\n")
        client.reset()
        assert closed.wait(TIMEOUT)


@pytest.mark.usefixtures("plain")
def test_a_stream_that_never_waits_ends_with_its_client() -> None:
    ended = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        try:
            while True:
                await send({"type": "http.response.body", "body": b"x", "more_body": True})
        except OSError:
            ended.set()
            raise

    with serving(app, lifespan="off") as live:
        client = live.client()
        client.send(get())
        client.until(b"\r\n\r\n")
        client.reset()
        assert ended.wait(TIMEOUT)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate that is its own authority, for both ends."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl here")
    where = tmp_path_factory.mktemp("tls")
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/C=DE/O=Tests, Inc/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    command += ["-keyout", str(where / "key.pem"), "-out", str(where / "cert.pem")]
    subprocess.run(command, check=True, capture_output=True)
    return where


def secured(where: Path, app: Any, **options: Any) -> Any:
    files = {"ssl_certfile": str(where / "cert.pem"), "ssl_keyfile": str(where / "key.pem")}
    return serving(app, **files, **options)


def context_of(where: Path, *, known: bool = False) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(where / "cert.pem"))
    if known:
        context.load_cert_chain(where / "cert.pem", where / "key.pem")
    return context


class SecureClient(Client):
    def __init__(self, live: Live, context: ssl.SSLContext) -> None:
        super().__init__(live.server.port)
        self.socket: socket.socket = context.wrap_socket(self.socket, server_hostname="localhost")


def ask(live: Live, context: ssl.SSLContext) -> Answer:
    with SecureClient(live, context) as client:
        return client.ask(get())


@pytest.mark.parametrize("known", [False, True])
def test_asgi_is_told_about_tls(certificates: Path, known: bool) -> None:
    told: queue.SimpleQueue[Any] = queue.SimpleQueue()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        told.put((scope["scheme"], scope["extensions"]["tls"]))
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.pathsend", "path": str(certificates / "cert.pem")})

    options = {"ssl_client_auth": "optional", "ssl_ca_certs": str(certificates / "cert.pem")}
    with secured(certificates, app, lifespan="off", **options) as live:
        text = (certificates / "cert.pem").read_bytes()
        assert ask(live, context_of(certificates, known=known)).body == text
        scheme, tls = told.get(timeout=TIMEOUT)
        assert scheme == "https"
        assert tls["tls_version"] == 0x0304
        assert 0x1301 <= tls["cipher_suite"] <= 0x1303
        if known:
            assert tls["client_cert_name"] == "CN=localhost,O=Tests\\, Inc,C=DE"
            assert [pem.split() for pem in tls["client_cert_chain"]] == [text.decode().split()]
        else:
            assert (tls["client_cert_name"], tls["client_cert_chain"]) == (None, [])


def test_files_and_threads_over_tls(certificates: Path, file: Path) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        assert environ["wsgi.url_scheme"] == "https"
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](file.open("rb"))

    with secured(certificates, app) as live:
        assert ask(live, context_of(certificates)).body == DATA


def test_websockets_over_tls(certificates: Path) -> None:
    async def talk(port: int) -> None:
        # In one thread: the synchronous client sends and receives on one SSL object from two.
        context = context_of(certificates)
        async with asyncio_connect(f"wss://localhost:{port}", proxy=None, ssl=context) as client:
            await client.send("!")
            assert await client.recv() == "wss!"

    with secured(certificates, socket_echo, lifespan="off") as live:
        asyncio.run(asyncio.wait_for(talk(live.server.port), TIMEOUT))
