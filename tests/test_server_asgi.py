"""ASGI applications on a real server."""

import asyncio
import contextvars
import hashlib
import logging
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from nbio.asgi import EXTENSIONS, Message, Receive, Scope, Send
from nbio.errors import NbioError
from nbio.lifespan import StartupFailed
from nbio.responses import ResponseError
from nbio.server import Server
from tests.live import chunked, get, post, serving

Part = Callable[[Scope, Receive, Send], Awaitable[None]]


def http(part: Part) -> Part:
    """An application without lifespan."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http", "no lifespan here"
        await part(scope, receive, send)

    return app


async def answer(send: Send, body: bytes = b"", status: int = 200, *headers: Any) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})


async def whole_body(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        assert message["type"] == "http.request"
        parts.append(message["body"])
        if not message["more_body"]:
            return b"".join(parts)


@http
async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, await whole_body(receive))


@http
async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, b"Hello, world!", 200, (b"content-type", b"text/plain"))


def test_a_get() -> None:
    with serving(hello) as live, live.client() as client:
        for _ in range(3):
            got = client.ask(get())
            assert (got.status, got.body) == (200, b"Hello, world!")
            assert got.headers["content-length"] == "13"
            assert got.headers["content-type"] == "text/plain"
            assert got.headers["server"] == "nbio"
            assert got.headers["date"].endswith(" GMT")
            assert "connection" not in got.headers
        assert live.server.pool.stats().acquired == 0, "no body, no slot"


def test_the_scope() -> None:
    seen: list[Scope] = []

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)
        await answer(send)

    with serving(app, root_path="/api") as live, live.client() as client:
        client.ask(get("/a%20b/%C3%A9?x=%20&y", "X-A: 1", "x-a: 2"))
        port = client.socket.getsockname()[1]
        [scope] = seen
        assert scope == {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.5"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": "/api/a b/é",
            "raw_path": b"/a%20b/%C3%A9",
            "query_string": b"x=%20&y",
            "root_path": "/api",
            "headers": [(b"host", b"test"), (b"x-a", b"1"), (b"x-a", b"2")],
            "client": ("127.0.0.1", port),
            "server": ("127.0.0.1", live.server.port),
            "extensions": EXTENSIONS,
        }


@pytest.mark.parametrize("size", [1, 100, 65536, 65537, 1_000_000])
@pytest.mark.parametrize("encode", [post, chunked])
def test_bodies(size: int, encode: Callable[[bytes], bytes]) -> None:
    body = hashlib.shake_128(b"%d" % size).digest(size)
    with serving(echo) as live, live.client() as client:
        for _ in range(2):
            assert client.ask(encode(body)).body == body


def test_a_body_byte_by_byte() -> None:
    with serving(echo) as live, live.client() as client:
        data = chunked(b"hello", b" world")
        for i in range(len(data)):
            client.send(data[i : i + 1])
        assert client.answer().body == b"hello world"


def test_backpressure_holds_a_large_upload_back() -> None:
    go = threading.Event()
    held: list[int] = []

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.to_thread(go.wait)
        await answer(send, b"%d" % len(await whole_body(receive)))

    size = 32 * 1024 * 1024
    with serving(app) as live, live.client() as client:
        head = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode()
        client.send(head)
        client.socket.settimeout(1.0)
        sent = 0
        piece = bytes(65536)
        try:
            while sent < size:
                sent += client.socket.send(piece[: size - sent])
        except TimeoutError:
            held.append(live.server.pool.stats().blocks.outstanding)
        assert sent < size, "nobody read, and yet everything was taken"
        assert held[0] <= live.server.config.high_water + 1
        go.set()
        client.socket.settimeout(20)
        while sent < size:
            sent += client.socket.send(piece[: size - sent])
        assert client.answer().body == b"%d" % size


def test_streaming_is_chunked() -> None:
    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        for piece in (b"one", b"", b"two"):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})

    with serving(app) as live, live.client() as client:
        client.send(get())
        raw = client.until(b"0\r\n\r\n")
        head, _, body = raw.partition(b"\r\n\r\n")
        assert b"transfer-encoding: chunked" in head
        assert body == b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
        old = live.ask(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert old.body == b"onetwo"
        assert "transfer-encoding" not in old.headers
        assert old.headers["connection"] == "close"


def test_http_10_keep_alive() -> None:
    with serving(hello) as live:
        with live.client() as client:
            for _ in range(2):
                got = client.ask(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
                assert got.headers["connection"] == "keep-alive"
        with live.client() as client:
            client.send(b"GET / HTTP/1.0\r\n\r\n")
            assert client.rest().endswith(b"\r\n\r\nHello, world!")


@pytest.mark.parametrize("status", [204, 205, 304])
def test_statuses_without_a_body(status: int) -> None:
    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, b"surprise", status)

    with serving(app) as live, live.client() as client:
        client.send(get() + get())
        client.end()
        raw = client.rest()
        assert raw.count(b"HTTP/1.1 %d" % status) == 2
        assert b"surprise" not in raw


def test_head() -> None:
    with serving(hello) as live, live.client() as client:
        for _ in range(2):
            got = client.ask(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "HEAD")
            assert (got.body, got.headers["content-length"]) == (b"", "13")


def test_pipelining_keeps_the_order_and_joins_the_writes() -> None:
    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, scope["raw_path"] + b";")

    with serving(app) as live, live.client() as client:
        client.send(b"".join(get(f"/{n}") for n in range(50)) + post(b"x", path="/end"))
        raw = client.until(b"/end;")
        bodies = [part.rpartition(b"\r\n\r\n")[2] for part in raw.split(b"HTTP/1.1 200 OK\r\n")]
        assert b"".join(bodies) == b"".join(b"/%d;" % n for n in range(50)) + b"/end;"


def test_more_is_pipelined_than_is_taken_in() -> None:
    go = threading.Event()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.to_thread(go.wait)
        await answer(send, b"x")

    with serving(app, max_pipelined=1000) as live, live.client() as client:
        client.send(get() * 500)
        client.end()
        go.set()
        assert client.rest().count(b"HTTP/1.1 200 OK") == 500


def test_garbage_after_a_request_does_not_lose_its_answer() -> None:
    with serving(hello) as live, live.client() as client:
        client.send(get() + b"\x00garbage\r\n\r\n")
        raw = client.rest()
        assert raw.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"HTTP/1.1 400 Bad Request\r\n" in raw


def test_half_close_does_not_lose_the_answer() -> None:
    with serving(echo) as live, live.client() as client:
        client.send(post(b"hello") + get())
        client.end()
        assert client.rest().count(b"HTTP/1.1 200 OK") == 2


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\n", 400),
        (b"nonsense\r\n\r\n", 400),
        (post(b"x", "Transfer-Encoding: chunked"), 400),
        (b"GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000001\r\n\r\n", 413),
        (b"GET /" + b"a" * 10000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nA: " + b"a" * 70000 + b"\r\n\r\n", 431),
        (chunked(b"x")[:-5] + b"zz\r\n", 400),
    ],
)
def test_refusals_close_and_reach_nobody(data: bytes, status: int) -> None:
    calls: list[Scope] = []

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        calls.append(scope)
        await answer(send)

    with serving(app, max_body=1_000_000) as live, live.client() as client:
        client.send(data)
        got = client.answer()
        assert (got.status, got.headers["connection"]) == (status, "close")
        assert client.closed()
        assert calls == []


@pytest.mark.parametrize(
    ("rest", "status"), [(b"zz\r\n", 400), (b"fffff\r\n", 413), (b"1\r\nxy", 400)]
)
def test_a_body_that_goes_wrong_later(rest: bytes, status: int) -> None:
    messages: list[Message] = []
    reading = threading.Event()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while not messages or messages[-1]["type"] != "http.disconnect":
            messages.append(await receive())
            reading.set()
        with pytest.raises(OSError, match="gone"):
            await answer(send)

    with serving(app, max_body=1000) as live, live.client() as client:
        client.send(chunked(b"good")[:-5])
        assert reading.wait(20)
        client.send(rest)
        assert client.answer().status == status
        assert client.closed()
    assert [m.get("body") for m in messages] == [b"good", None]


def test_expect_continue() -> None:
    with serving(echo) as live, live.client() as client:
        data = post(b"hello", "Expect: 100-continue")
        client.send(data[:-5])
        assert client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"hello")
        got = client.answer()
        assert (got.body, got.headers.get("connection")) == (b"hello", None)


def test_expect_continue_and_nobody_reads() -> None:
    with serving(hello) as live, live.client() as client:
        client.send(post(b"hello", "Expect: 100-continue")[:-5])
        raw = client.rest()
        assert raw.startswith(b"HTTP/1.1 200 OK")
        assert b"connection: close" in raw


def test_an_unread_body_is_drained_if_small_and_cut_if_large() -> None:
    with serving(hello, max_drain=100_000) as live:
        with live.client() as client:
            for _ in range(3):
                assert client.ask(post(bytes(90_000))).status == 200
        with live.client() as client:
            client.send(post(bytes(1_000_000))[:200_000])
            got = client.answer()
            assert (got.status, got.headers["connection"]) == (200, "close")
            assert client.closed()


def test_disconnect_in_the_middle_of_a_body() -> None:
    messages: list[Message] = []
    first = threading.Event()
    done = threading.Event()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        messages.append(await receive())
        first.set()
        messages.append(await receive())
        done.set()

    with serving(app) as live:
        client = live.client()
        client.send(post(bytes(1000))[:-500])
        assert first.wait(20)
        client.reset()
        assert done.wait(20)
    assert messages[1] == {"type": "http.disconnect"}


def test_disconnect_is_told_to_who_waits_for_it_and_to_who_sends() -> None:
    waiting = threading.Event()
    told: list[object] = []

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await whole_body(receive)
        waiting.set()
        told.append(await receive())
        try:
            await answer(send)
        except OSError as error:
            told.append(type(error).__name__)
        waiting.set()

    with serving(app) as live:
        client = live.client()
        client.send(get())
        assert waiting.wait(20)
        waiting.clear()
        client.reset()
        assert waiting.wait(20)
    assert told == [{"type": "http.disconnect"}, "ClientDisconnected"]


def test_an_exception_is_a_500_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError("on purpose")

    with serving(app) as live:
        got = live.ask(get())
        assert (got.status, got.headers["connection"]) == (500, "close")
        assert live.ask(post(b"unread")).status == 500
    assert "on purpose" in caplog.text


def test_an_exception_after_the_start_cuts_the_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise ValueError("on purpose")

    with serving(app) as live, live.client() as client:
        client.send(get())
        raw = b""
        try:
            while piece := client.socket.recv(65536):
                raw += piece
        except ConnectionResetError:
            pass
        assert b"0\r\n\r\n" not in raw
    assert "on purpose" in caplog.text


def test_no_answer_is_a_500(caplog: pytest.LogCaptureFixture) -> None:
    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        pass

    with serving(app) as live:
        assert live.ask(get()).status == 500
    assert "without a complete response" in caplog.text


BODY = "http.response.body"
START = "http.response.start"


@pytest.mark.parametrize(
    "messages",
    [
        [{"type": BODY}],
        [{"type": START, "status": 200}, {"type": START, "status": 200}],
        [{"type": "http.response.frob"}],
        [{"type": START, "status": 99}, {"type": BODY}],
        [{"type": START, "status": "200"}, {"type": BODY}],
        [{"type": START, "status": 200, "headers": [("a", "b")]}, {"type": BODY}],
        [{"type": START, "status": 200, "headers": [(b"a b", b"c")]}, {"type": BODY}],
        [{"type": START, "status": 200, "headers": [(b"a", b"b\r\nc: d")]}, {"type": BODY}],
        [{"type": START, "status": 200, "headers": [(b"a", b"b\0")]}, {"type": BODY}],
        [{"type": START, "status": 200}, {"type": BODY, "body": "text"}],
        [
            {"type": START, "status": 200, "headers": [(b"content-length", b"1")]},
            {"type": BODY, "body": b"too long"},
        ],
        [
            {"type": START, "status": 200, "headers": [(b"content-length", b"9")]},
            {"type": BODY, "body": b"short"},
        ],
        [{"type": START, "status": 200, "headers": [(b"content-length", b"x")]}, {"type": BODY}],
    ],
)
def test_wrong_messages_are_refused(messages: list[Message]) -> None:
    refused: list[Exception] = []

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            for message in messages:
                await send(message)
        except NbioError as error:
            refused.append(error)
            raise

    logging.disable(logging.ERROR)
    try:
        with serving(app) as live:
            assert live.ask(get()).status == 500
    finally:
        logging.disable(logging.NOTSET)
    assert isinstance(refused[0], ResponseError)


def test_after_the_response_receive_says_disconnect_and_send_refuses() -> None:
    seen: list[object] = []
    done = threading.Event()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, b"done")
        seen.append(await receive())
        try:
            await send({"type": BODY})
        except ResponseError:
            seen.append("refused")
        done.set()

    with serving(app) as live, live.client() as client:
        assert client.ask(post(b"unread")).body == b"done"
        assert done.wait(20)
        assert client.ask(get()).body == b"done", "the connection goes on"
    assert seen[:2] == [{"type": "http.disconnect"}, "refused"]


def test_a_background_task_does_not_hold_the_next_request_up() -> None:
    go = threading.Event()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, scope["raw_path"])
        if scope["raw_path"] == b"/slow":
            await asyncio.to_thread(go.wait)

    with serving(app) as live, live.client() as client:
        assert client.ask(get("/slow")).body == b"/slow"
        assert client.ask(get("/next")).body == b"/next"
        go.set()


variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


def test_requests_run_in_real_tasks_with_contexts_of_their_own() -> None:
    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert asyncio.current_task() is not None
        seen = variable.get()
        variable.set("leaked")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()
        await answer(send, seen.encode())

    with serving(app) as live, live.client() as client:
        client.send(get() * 3)
        client.end()
        assert client.rest().count(b"\r\n\r\nunset") == 3


def test_lifespan_and_state() -> None:
    events: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            events.append((await receive())["type"])
            scope["state"]["shared"] = ["x"]
            await send({"type": "lifespan.startup.complete"})
            events.append((await receive())["type"])
            await send({"type": "lifespan.shutdown.complete"})
            return
        scope["state"]["own"] = True
        await answer(send, b",".join(key.encode() for key in sorted(scope["state"])))

    with serving(app) as live:
        for _ in range(2):
            assert live.ask(get()).body == b"own,shared"
    assert events == ["lifespan.startup", "lifespan.shutdown"]


def test_a_failed_startup() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    async def run() -> None:
        with pytest.raises(StartupFailed, match="no database"):
            await Server(app, port=0).serve()

    asyncio.run(run())


def test_timeouts() -> None:
    with serving(echo, head_timeout=0.1, idle_timeout=0.1, body_timeout=0.1) as live:
        with live.client() as client:
            assert client.closed(), "silent from the start"
        with live.client() as client:
            client.send(get()[:-2])
            assert client.answer().status == 408
        with live.client() as client:
            assert client.ask(get()).status == 200
            assert client.closed(), "idle"
        with live.client() as client:
            client.send(post(b"hello")[:-1])
            assert client.answer().status == 408
            assert client.closed()


def test_a_client_that_does_not_read_is_given_up() -> None:
    sent = threading.Event()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": START, "status": 200})
        try:
            while True:
                await send({"type": BODY, "body": bytes(65536), "more_body": True})
        except OSError:
            sent.set()

    with serving(app, write_timeout=0.2) as live, live.client() as client:
        client.send(get())
        assert sent.wait(20)


def test_too_many_connections() -> None:
    with serving(hello, max_connections=1) as live, live.client() as client:
        assert client.ask(get()).status == 200
        with live.client() as other:
            assert other.answer().status == 503
        assert client.ask(get()).status == 200


def test_shutdown_lets_a_request_finish_and_closes_idle_connections() -> None:
    begun = threading.Event()
    go = threading.Event()

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["raw_path"] == b"/slow":
            begun.set()
            await asyncio.to_thread(go.wait)
        await answer(send, b"done")

    with serving(app) as live, live.client() as idle, live.client() as busy:
        assert idle.ask(get()).body == b"done"
        busy.send(get("/slow"))
        assert begun.wait(20)
        stopping = asyncio.run_coroutine_threadsafe(live.server.stop(), live.loop)
        assert idle.closed()
        go.set()
        got = busy.answer()
        assert (got.body, got.headers["connection"]) == (b"done", "close")
        stopping.result(20)


def test_shutdown_cuts_off_what_takes_too_long() -> None:
    begun = threading.Event()
    ended: list[str] = []

    @http
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    with serving(app, shutdown_timeout=0.05) as live, live.client() as client:
        client.send(post(b"hello"))
        assert begun.wait(20)
        live.run(live.server.stop())
        assert client.closed()
    assert ended == ["cancelled"]
