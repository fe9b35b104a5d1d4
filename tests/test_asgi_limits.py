"""ASGI applications held up, timed out and shut down."""

import asyncio
import threading

from nbio.asgi import Receive, Scope, Send
from tests.asgi_parts import answer, echo, hello, http, whole_body
from tests.live import get, post, serving


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
        await send({"type": "http.response.start", "status": 200})
        try:
            while True:
                await send({"type": "http.response.body", "body": bytes(65536), "more_body": True})
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
