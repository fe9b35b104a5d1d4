"""Native handlers on a real server."""

import asyncio
import hashlib
import threading
from collections.abc import AsyncIterator

import pytest

import nbio
from nbio import BodyClosedError, BodyDisconnected, BodyReader, Request, Response
from nbio.heads import RequestHead
from tests.live import chunked, get, post, serving


def test_a_request_and_a_response() -> None:
    async def handler(request: Request) -> Response:
        assert (request.method, request.path, request.raw_path) == ("GET", "/a b", b"/a%20b")
        assert (request.query, request.http_version, request.scheme) == (b"q=1", "1.1", "http")
        assert request.client is not None
        assert request.server is not None
        assert request.headers["X-Thing"] == "one"
        assert request.headers.get_all("x-thing") == ["one", "two"]
        assert "nothing" not in request.headers
        assert sorted(request.headers) == ["host", "x-thing"]
        assert repr(request) == "<Request GET /a b>"
        return Response("ünï", status=201, headers={"X-Back": "yes"})

    with serving(handler) as live, live.client() as client:
        for _ in range(2):
            got = client.ask(get("/a%20b?q=1", "X-Thing: one", "X-Thing: two"))
            assert (got.status, got.body.decode()) == (201, "ünï")
            assert got.headers["x-back"] == "yes"
            assert got.headers["content-type"] == "text/plain; charset=utf-8"
        assert live.server.pool.stats().acquired == 0


@pytest.mark.parametrize(
    ("response", "content_type"),
    [
        (Response(), None),
        (Response(b"x"), None),
        (Response(b"x", media_type="image/png"), "image/png"),
        (Response("x", headers=[("Content-Type", "text/css")]), "text/css"),
    ],
)
def test_content_types(response: Response, content_type: str | None) -> None:
    async def handler(request: Request) -> Response:
        return response

    with serving(handler) as live:
        assert live.ask(get()).headers.get("content-type") == content_type


async def hash_views(request: Request) -> Response:
    digest = hashlib.sha256()
    async for view in request.body.views():
        digest.update(view)
    return Response(digest.hexdigest())


async def hash_readinto(request: Request) -> Response:
    digest = hashlib.sha256()
    buffer = bytearray(10_000)
    async with request.body as body:
        while n := await body.readinto(buffer):
            digest.update(memoryview(buffer)[:n])
    return Response(digest.hexdigest())


async def hash_iteration(request: Request) -> Response:
    digest = hashlib.sha256()
    async for piece in request.body:
        digest.update(piece)
    return Response(digest.hexdigest())


def hash_in_a_thread(request: Request) -> Response:
    assert threading.current_thread() is not threading.main_thread()
    digest = hashlib.sha256()
    while piece := request.body.read_blocking(5000):
        digest.update(piece)
    return Response(digest.hexdigest())


@pytest.mark.parametrize("handler", [hash_views, hash_readinto, hash_iteration, hash_in_a_thread])
def test_uploads(handler: object) -> None:
    data = hashlib.shake_128(b"data").digest(3_000_000)
    expected = hashlib.sha256(data).hexdigest().encode()
    with serving(handler) as live, live.client() as client:
        assert client.ask(post(data)).body == expected
        assert client.ask(chunked(data[:100], data[100:500_000], data[500_000:])).body == expected
        blocks = live.server.pool.blocks.stats()
        assert blocks.idle, "blocks are reused"


def test_the_body_of_a_request_without_one_is_empty_and_costs_nothing_unless_asked_for() -> None:
    kept: list[BodyReader] = []

    async def handler(request: Request) -> Response:
        if request.path == "/ask":
            assert request.body is request.body
            assert await request.body.read() == b""
            assert request.body.at_eof
            async for _ in request.body.views():
                raise AssertionError("there is nothing to see")
            kept.append(request.body)
        return Response(b"ok")

    with serving(handler) as live, live.client() as client:
        assert client.ask(get()).body == b"ok"
        assert live.server.pool.stats().acquired == 0
        assert client.ask(get("/ask")).body == b"ok"
        assert client.ask(post(b"", path="/ask")).body == b"ok"
        assert live.server.pool.stats().acquired == 2
        assert kept[0].closed


def test_a_body_asked_for_too_late_is_closed() -> None:
    kept: list[Request] = []

    async def handler(request: Request) -> Response:
        kept.append(request)
        return Response()

    with serving(handler) as live, live.client() as client:
        client.ask(get())
        client.ask(get())
        body = kept[0].body
        assert body.closed
        with pytest.raises(BodyClosedError):
            live.run(body.read())


def test_a_streamed_response() -> None:
    async def numbers() -> AsyncIterator[bytes]:
        for n in range(3):
            yield b"%d" % n
            await asyncio.sleep(0)

    async def handler(request: Request) -> Response:
        return Response(numbers())

    with serving(handler) as live, live.client() as client:
        client.send(get())
        assert client.until(b"0\r\n\r\n").endswith(
            b"\r\n\r\n1\r\n0\r\n1\r\n1\r\n1\r\n2\r\n0\r\n\r\n"
        )
        assert client.ask(get()).body == b"012"


def test_an_echo_of_a_body_that_is_still_arriving() -> None:
    async def handler(request: Request) -> Response:
        return Response(request.body)

    with serving(handler) as live, live.client() as client:
        client.send(chunked(b"one", b"two")[:-13])
        assert client.until(b"one\r\n").endswith(b"\r\n\r\n3\r\none\r\n")
        client.send(chunked(b"two")[-13:])
        assert client.until(b"0\r\n\r\n") == b"3\r\ntwo\r\n0\r\n\r\n"
        assert client.ask(post(b"again")).body == b"again"


def test_a_stream_that_breaks_cuts_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    closed = threading.Event()

    async def broken() -> AsyncIterator[bytes]:
        try:
            yield b"half"
            raise ValueError("on purpose")
        finally:
            closed.set()

    async def handler(request: Request) -> Response:
        return Response(broken())

    with serving(handler) as live, live.client() as client:
        client.send(get())
        assert client.closed() or closed.wait(20)
    assert "on purpose" in caplog.text


def test_a_stream_ends_when_the_client_goes() -> None:
    begun = threading.Event()
    closed = threading.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield bytes(65536)
                begun.set()
        finally:
            closed.set()

    async def handler(request: Request) -> Response:
        return Response(endless())

    with serving(handler) as live:
        client = live.client()
        client.send(get())
        assert begun.wait(20)
        client.reset()
        assert closed.wait(20)


@pytest.mark.parametrize("answer", [None, "text", Response(b"", headers={"A": "b\r\nc"})])
def test_what_is_no_response(answer: object, caplog: pytest.LogCaptureFixture) -> None:
    async def handler(request: Request) -> object:
        return answer

    with serving(handler) as live:
        assert live.ask(get()).status == 500
    assert "ResponseError" in caplog.text


def test_an_exception_in_a_thread(caplog: pytest.LogCaptureFixture) -> None:
    def handler(request: Request) -> Response:
        raise StopIteration

    with serving(handler) as live:
        assert live.ask(get()).status == 500
        assert live.ask(get()).status == 500
    assert "StopIteration" in caplog.text


def test_sync_handlers_run_at_once() -> None:
    barrier = threading.Barrier(3)

    def handler(request: Request) -> Response:
        barrier.wait(20)
        return Response(b"ok")

    with serving(handler) as live:
        clients = [live.client() for _ in range(3)]
        for client in clients:
            client.send(get())
        for client in clients:
            assert client.answer().body == b"ok"
            client.socket.close()


def test_expect_continue_waits_for_the_body_to_be_asked_for() -> None:
    async def handler(request: Request) -> Response:
        if request.path == "/read":
            return Response(await request.body.read())
        return Response(b"no thanks", status=403)

    with serving(handler) as live:
        with live.client() as client:
            client.send(post(b"hello", "Expect: 100-continue", path="/read")[:-5])
            assert client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            client.send(b"hello")
            assert client.answer().body == b"hello"
        with live.client() as client:
            client.send(post(b"hello", "Expect: 100-continue")[:-5])
            got = client.answer()
            assert (got.status, got.headers["connection"]) == (403, "close")


def test_a_detached_body_keeps_its_connection() -> None:
    kept: list[BodyReader] = []

    async def handler(request: Request) -> Response:
        if request.path == "/detach":
            kept.append(request.body.detach())
        return Response(b"ok")

    with serving(handler) as live, live.client() as client:
        data = post(b"hello world", path="/detach")
        client.send(data[:-5])
        assert client.answer().body == b"ok", "the response goes out"
        body = kept[0]
        assert live.run(body.read(6)) == b"hello "
        client.send(data[-5:] + get())
        assert client.answer().body == b"ok", "the next request is served once the body is there"
        assert live.run(body.read()) == b"world"
        body.close()


def test_a_detached_body_that_is_closed_lets_the_connection_go_on() -> None:
    kept: list[BodyReader] = []

    async def handler(request: Request) -> Response:
        if request.path == "/detach":
            kept.append(request.body.detach())
        return Response(b"ok")

    with serving(handler) as live, live.client() as client:
        data = post(bytes(600_000), path="/detach")
        client.send(data[:1000])
        assert client.answer().body == b"ok"
        kept[0].close()
        client.send(data[1000:100_000])
        client.send(data[100_000:200_000])
        try:
            client.send(data[200_000:])
        except OSError:
            return
        assert client.closed(), "more than max_drain remained"


def test_a_detached_body_hears_of_the_disconnect() -> None:
    kept: list[BodyReader] = []

    async def handler(request: Request) -> Response:
        kept.append(request.body.detach())
        return Response(b"ok")

    with serving(handler) as live:
        client = live.client()
        client.send(post(b"hello")[:-5])
        assert client.answer().body == b"ok"
        reading = asyncio.run_coroutine_threadsafe(kept[0].read(), live.loop)
        client.reset()
        with pytest.raises(BodyDisconnected):
            reading.result(20)
        kept[0].close()


def test_everything_is_exported() -> None:
    for name in nbio.__all__:
        assert getattr(nbio, name) is not None
    assert set(nbio.__all__) <= set(dir(nbio))
    with pytest.raises(AttributeError):
        nbio.nothing  # noqa: B018  # type: ignore[attr-defined]  # that is the point


def test_a_head_without_a_body_says_so() -> None:
    assert not RequestHead("GET", b"/", b"", "1.1", []).has_body
