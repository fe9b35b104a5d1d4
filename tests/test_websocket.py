"""WebSockets of ASGI applications on a real server, with the `websockets` package's client."""

import contextlib
import functools
import itertools
import queue
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from nbio.asgi import Receive, Scope, Send
from nbio.errors import ClientDisconnected, ResponseError
from tests.live import TIMEOUT, Client, Live, get, serving

sockets = functools.partial(serving, lifespan="off")
App = Callable[[Scope, Receive, Send], Awaitable[None]]


@contextlib.contextmanager
def dialled(live: Live, path: str = "/", **options: Any) -> Iterator[ClientConnection]:
    """A client's WebSocket to the server."""
    url = f"ws://127.0.0.1:{live.server.port}{path}"
    options.setdefault("open_timeout", TIMEOUT)
    with connect(url, proxy=None, close_timeout=TIMEOUT, **options) as client:
        yield client


class Told:
    """What an application tells its test."""

    def __init__(self) -> None:
        self.things: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def __call__(self, thing: Any) -> None:
        self.things.put(thing)

    def next(self) -> Any:
        return self.things.get(timeout=TIMEOUT)


async def accept(receive: Receive, send: Send, **message: Any) -> None:
    assert await receive() == {"type": "websocket.connect"}
    await send({"type": "websocket.accept", **message})


def echo(told: Told) -> App:
    """Sends back what it gets; tells how it ended."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        while (message := await receive())["type"] == "websocket.receive":
            await send({**message, "type": "websocket.send"})
        told(message)

    return app


def ends(client: ClientConnection) -> tuple[int, str]:
    """How the connection ends, for the client."""
    with pytest.raises(ConnectionClosed) as caught:
        client.recv(TIMEOUT)
    close = caught.value.rcvd
    return (close.code, close.reason) if close is not None else (1006, "")


@pytest.mark.parametrize("compression", ["deflate", None])
def test_messages(compression: str | None) -> None:
    told = Told()
    with sockets(echo(told)) as live, dialled(live, compression=compression) as client:
        assert bool(client.protocol.extensions) is (compression is not None)
        for message in ("", "ünï", b"", b"\x00\xff", "x" * 65536, bytes(300_000)):
            client.send(message)
            assert client.recv(TIMEOUT) == message
        client.send(["a", "b", "", "c"])
        assert client.recv(TIMEOUT) == "abc"
        client.send([b"a" * 5000, b"b" * 5000])
        assert client.recv(TIMEOUT) == b"a" * 5000 + b"b" * 5000
        client.ping().wait(TIMEOUT)
        client.close(4321, "enough")
        assert told.next() == {"type": "websocket.disconnect", "code": 4321, "reason": "enough"}


def test_compression_is_an_option() -> None:
    with (
        sockets(echo(Told()), ws_per_message_deflate=False) as live,
        dialled(live) as client,
    ):
        assert client.protocol.extensions == []


def test_the_scope_and_the_answer() -> None:
    told = Told()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        told(scope)
        own = [(b"x-served-by", b"me"), (b"Server", b"mine")]
        await accept(receive, send, subprotocol="b", headers=own)
        await send({"type": "websocket.close"})

    with (
        sockets(app, root_path="/api") as live,
        dialled(
            live,
            "/a%20b?q=1",
            subprotocols=[Subprotocol("a"), Subprotocol("b")],
            origin=Origin("http://site"),
        ) as client,
    ):
        scope = told.next()
        assert (scope["type"], scope["scheme"]) == ("websocket", "ws")
        assert (scope["path"], scope["raw_path"]) == ("/api/a b", b"/a%20b")
        assert (scope["query_string"], scope["root_path"]) == (b"q=1", "/api")
        assert scope["subprotocols"] == ["a", "b"]
        assert (b"origin", b"http://site") in scope["headers"]
        assert scope["http_version"] == "1.1"
        assert scope["client"][0] == scope["server"][0] == "127.0.0.1"
        assert "websocket.http.response" in scope["extensions"]
        assert "method" not in scope
        assert client.subprotocol == "b"
        assert client.response is not None
        assert client.response.headers["X-Served-By"] == "me"
        assert client.response.headers.get_all("Server") == ["mine"]
        assert len(client.response.headers.get_all("Date")) == 1
        assert ends(client) == (1000, "")


KEY = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="
VERSION = "Sec-WebSocket-Version: 13"
UPGRADE = ("Connection: keep-alive, Upgrade", "Upgrade: WebSocket")


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([*UPGRADE, KEY, "Sec-WebSocket-Version: 8"], 426),
        ([*UPGRADE, KEY, "Sec-WebSocket-Version: 14"], 426),
        ([*UPGRADE, KEY], 400),
        ([*UPGRADE, KEY, VERSION, VERSION], 400),
        ([*UPGRADE, VERSION], 400),
        ([*UPGRADE, KEY, KEY, VERSION], 400),
        ([*UPGRADE, VERSION, "Sec-WebSocket-Key: AAAA"], 400),
        ([*UPGRADE, VERSION, "Sec-WebSocket-Key: not base64!"], 400),
        ([*UPGRADE, KEY, VERSION, "Sec-WebSocket-Extensions: ;;"], 400),
        # No request to open a WebSocket; HTTP, and so the application's.
        ([KEY, VERSION], 418),
        (["Connection: Upgrade", "Upgrade: h2c", KEY, VERSION], 418),
        (["Connection: close", "Upgrade: websocket", KEY, VERSION], 418),
    ],
)
def test_bad_handshakes(fields: list[str], status: int) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 418})
        await send({"type": "http.response.body"})

    with sockets(app) as live:
        got = live.ask(get("/", *fields))
        assert got.status == status
        if status == 426:
            assert got.headers["sec-websocket-version"] == "13"
            assert got.headers["upgrade"] == "websocket"
            assert got.headers["connection"] == "upgrade"


def handshake(client: Client, *fields: str) -> bytes:
    """Open a WebSocket by hand; return what the server answers."""
    client.send(get("/", *UPGRADE, KEY, VERSION, *fields))
    return client.until(b"\r\n\r\n")


def frame(opcode: Opcode, data: bytes, *, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=True)


def test_the_accept_key_and_messages_that_come_with_the_handshake() -> None:
    with sockets(echo(Told())) as live, live.client() as client:
        early = frame(Opcode.TEXT, b"early")
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
        client.send(get("/", *UPGRADE, key, VERSION) + early)
        head = client.until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        # The example of RFC 6455, section 1.3.
        assert b"\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in head
        assert client.until(b"early") == b"\x81\x05early"


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(Opcode.TEXT, b"\xff"), 1007),
        (frame(Opcode.TEXT, b"\xc3", fin=False) + frame(Opcode.CONT, b"("), 1007),
        (frame(Opcode.CONT, b"x"), 1002),
        (frame(Opcode.TEXT, b"x", fin=False) + frame(Opcode.TEXT, b"y"), 1002),
        (b"\x81\x01x", 1002),
        (b"\xc1\x80\0\0\0\0", 1002),
        (b"\x83\x80\0\0\0\0", 1002),
        (frame(Opcode.BINARY, bytes(1001)), 1009),
        (frame(Opcode.BINARY, bytes(600), fin=False) + frame(Opcode.CONT, bytes(600)), 1009),
        (frame(Opcode.CLOSE, b"\x0f\xa1bye"), 4001),
        (frame(Opcode.CLOSE, b""), 1005),
        (frame(Opcode.CLOSE, b"\x03\xe7"), 1002),
    ],
    ids=itertools.count(),
)
def test_close_codes(sent: bytes, code: int) -> None:
    told = Told()
    with sockets(echo(told), ws_max_size=1000) as live, live.client() as client:
        assert b" 101 " in handshake(client)
        client.send(sent)
        raw = client.rest()
        assert raw[0] == 0x88
        assert raw[2:4] == (b"" if code == 1005 else code.to_bytes(2, "big"))
        assert told.next()["code"] == code


@pytest.mark.parametrize("leave", [Client.reset, Client.end])
def test_a_client_that_leaves_without_a_word(leave: Callable[[Client], None]) -> None:
    told = Told()
    with sockets(echo(told)) as live, live.client() as client:
        handshake(client)
        leave(client)
        assert told.next() == {"type": "websocket.disconnect", "code": 1006, "reason": ""}


def test_a_message_that_is_too_long_inflated() -> None:
    told = Told()
    with sockets(echo(told), ws_max_size=100_000) as live, dialled(live) as client:
        client.send(bytes(100_000))
        assert client.recv(TIMEOUT) == bytes(100_000)
        client.send(bytes(100_001))
        assert ends(client)[0] == 1009
        assert told.next()["code"] == 1009


def test_an_application_that_closes_raises_or_returns() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        if scope["path"] == "/close":
            await send({"type": "websocket.close", "code": 3000, "reason": "so"})
        elif scope["path"] == "/raise":
            raise ZeroDivisionError

    with sockets(app) as live:
        for path, end in (("/close", (3000, "so")), ("/raise", (1011, "")), ("/", (1000, ""))):
            with dialled(live, path) as client:
                assert ends(client) == end


def test_sending_after_the_end_raises() -> None:
    told = Told()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        ours = scope["path"] == "/ours"
        if ours:
            await send({"type": "websocket.close", "code": 1001})
        told(await receive())
        for kind in ("websocket.send", "websocket.close"):
            with pytest.raises(ResponseError if ours else ClientDisconnected):
                await send({"type": kind, "text": "late"})
        told("done")

    with sockets(app) as live:
        with dialled(live, "/ours") as client:
            assert ends(client) == (1001, "")
            assert told.next()["code"] == 1001
            assert told.next() == "done"
        with dialled(live, "/theirs") as client:
            client.close(1000, "bye")
            assert told.next() == {"type": "websocket.disconnect", "code": 1000, "reason": "bye"}
            assert told.next() == "done"


@pytest.mark.parametrize(
    ("messages", "status"),
    [
        ([{"type": "websocket.close"}], 403),
        (
            [
                {"type": "websocket.http.response.start", "status": 401, "headers": [(b"a", b"b")]},
                {"type": "websocket.http.response.body", "body": b"who ", "more_body": True},
                {"type": "websocket.http.response.body", "body": b"are you"},
            ],
            401,
        ),
        ([], 500),
        ([{"type": "websocket.send", "text": "early"}], 500),
        ([{"type": "http.response.start", "status": 200}], 500),
        ([{"type": "websocket.http.response.body", "body": b""}], 500),
        ([{"type": "websocket.accept", "subprotocol": "never offered"}], 500),
        ([{"type": "websocket.accept", "headers": [(b"a", b"b\r\nc: d")]}], 500),
        ([{"type": "websocket.accept", "headers": [(b"Sec-WebSocket-Protocol", b"x")]}], 500),
        ([{"type": "websocket.accept", "headers": [(b"Upgrade", b"frob")]}], 500),
    ],
)
def test_handshakes_that_the_application_does_not_accept(
    messages: list[dict[str, Any]], status: int
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "websocket.connect"
        for message in messages:
            await send(message)

    with sockets(app) as live:
        with pytest.raises(InvalidStatus) as caught, dialled(live):
            pass
        assert caught.value.response.status_code == status
        if status == 401:
            assert caught.value.response.body == b"who are you"
            assert caught.value.response.headers["a"] == "b"


@pytest.mark.parametrize(
    "message",
    [
        {"type": "websocket.send"},
        {"type": "websocket.send", "text": "a", "bytes": b"b"},
        {"type": "websocket.send", "text": b"a"},
        {"type": "websocket.send", "bytes": "a"},
        {"type": "websocket.accept"},
        {"type": "websocket.close", "code": 1006},
        {"type": "websocket.close", "code": 4000, "reason": "x" * 124},
    ],
)
def test_messages_that_make_no_sense_close_with_1011(message: dict[str, Any]) -> None:
    told = Told()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        with pytest.raises(ResponseError) as caught:
            await send(message)
        told(caught.value)
        raise caught.value

    with sockets(app) as live, dialled(live) as client:
        assert ends(client)[0] == 1011
        assert isinstance(told.next(), ResponseError)


def test_a_client_that_left_before_it_was_accepted() -> None:
    told = Told()
    left = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        told("asked")
        told(await receive())
        with pytest.raises(ClientDisconnected):
            await send({"type": "websocket.accept"})
        told("done")

    with sockets(app) as live:
        client = live.client()
        client.send(get("/", *UPGRADE, KEY, VERSION))
        assert told.next() == "asked"
        client.reset()
        left.set()
        assert told.next()["code"] == 1006
        assert told.next() == "done"
