"""ASGI applications on a real server."""

import asyncio
import contextvars
import hashlib
import threading
from collections.abc import Callable

import pytest

from nbio.asgi import EXTENSIONS, Receive, Scope, Send
from nbio.lifespan import StartupFailed
from nbio.server import Server
from tests.asgi_parts import answer, echo, hello, http
from tests.live import chunked, get, post, serving


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
            assert scope["asgi"] == {"version": "3.0", "spec_version": "2.0"}
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
