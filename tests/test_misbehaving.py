"""Handlers that do with their bodies what they shouldn't; the pool balances after each."""

import asyncio
import gc
import hashlib
import threading
from collections.abc import Awaitable, Callable

import pytest

from nbio import BodyClosedError, BodyDisconnected, BodyReader, Request, Response
from nbio.asgi import Receive, Scope, Send
from tests.live import chunked, get, post, serving

Handler = Callable[[Request], Awaitable[Response]]
DATA = hashlib.shake_128(b"body").digest(300_000)


async def closes_twice(request: Request) -> Response:
    first = await request.body.read(10)
    request.body.close()
    request.body.close()
    await request.body.aclose()
    return Response(first)


async def reads_after_close(request: Request) -> Response:
    request.body.close()
    with pytest.raises(BodyClosedError) as caught:
        await request.body.read()
    assert caught.value.closed_by == "handler"
    return Response(DATA[:10])


async def leaves_without_reading(request: Request) -> Response:
    return Response(DATA[:10])


async def leaves_in_the_middle(request: Request) -> Response:
    return Response(await request.body.read(10))


async def breaks_out_of_views(request: Request) -> Response:
    async for view in request.body.views():
        return Response(bytes(view[:10]))
    return Response()


async def keeps_the_iterator(request: Request) -> Response:
    views = request.body.views()
    kept_iterators.append(views)
    view = await anext(views)
    return Response(bytes(view[:10]))


async def keeps_a_view(request: Request) -> Response:
    view = await anext(request.body.views())
    kept_views.append(view[:1000])
    return Response(bytes(view[:10]))


async def closes_under_its_views(request: Request) -> Response:
    async for view in request.body.views():
        request.body.close()
        return Response(bytes(view[:10]))
    return Response()


async def leaves_a_task_reading(request: Request) -> Response:
    first = await request.body.read(10)
    leftovers.append(asyncio.ensure_future(request.body.read()))
    return Response(first)


async def reads_twice_at_once(request: Request) -> Response:
    first = await request.body.read(10)
    results = await asyncio.gather(*(request.body.read() for _ in range(3)), return_exceptions=True)
    assert len(results) == 3
    return Response(first)


async def raises(request: Request) -> Response:
    await request.body.read(10)
    raise ValueError("on purpose")


async def is_cancelled(request: Request) -> Response:
    await request.body.read(10)
    raise asyncio.CancelledError


async def exits(request: Request) -> Response:
    await request.body.read(10)
    raise RuntimeError("as bad as an exit")


kept_views: list[memoryview] = []
kept_iterators: list[object] = []
leftovers: list["asyncio.Future[bytes]"] = []


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    kept_views.clear()
    kept_iterators.clear()
    leftovers.clear()


GOOD: list[Handler] = [
    closes_twice,
    reads_after_close,
    leaves_without_reading,
    leaves_in_the_middle,
    breaks_out_of_views,
    keeps_the_iterator,
    keeps_a_view,
    closes_under_its_views,
    leaves_a_task_reading,
    reads_twice_at_once,
]


VIEWERS = (breaks_out_of_views, keeps_the_iterator, keeps_a_view, closes_under_its_views)


@pytest.mark.parametrize("encode", [post, chunked])
@pytest.mark.parametrize("handler", GOOD)
def test_the_connection_goes_on(handler: Handler, encode: Callable[[bytes], bytes]) -> None:
    with serving(handler, max_drain=1_000_000) as live, live.client() as client:
        for _ in range(3):
            assert client.ask(encode(DATA)).body == DATA[:10]
    stats = live.server.pool.stats()
    assert stats.acquired == stats.released == 3
    # A view still alive when its body is released costs the block it shows, and nothing else.
    assert stats.blocks.given_up <= (3 if handler in VIEWERS else 0)
    assert stats.blocks.given_up >= len(kept_views)


def test_a_kept_view_never_shows_another_requests_bytes() -> None:
    with serving(keeps_a_view, max_drain=1_000_000) as live, live.client() as client:
        assert client.ask(post(DATA)).body == DATA[:10]
        for _ in range(20):
            other = bytes(300_000)
            assert client.ask(post(other)).body == other[:10]
        assert bytes(kept_views[0]) == DATA[:1000]


def test_a_leftover_task_gets_the_typed_error() -> None:
    with serving(leaves_a_task_reading) as live, live.client() as client:
        client.send(post(DATA)[:1000])
        assert client.answer().body == DATA[:10]

        async def outcome() -> None:
            with pytest.raises((BodyClosedError, BodyDisconnected)):
                await leftovers[0]

        live.run(outcome())


@pytest.mark.parametrize("handler", [raises, is_cancelled, exits])
def test_handlers_that_end_badly(handler: Handler, caplog: pytest.LogCaptureFixture) -> None:
    with serving(handler) as live:
        for _ in range(3):
            assert live.ask(post(DATA)).status == 500
            with live.client() as client:
                client.send(post(DATA)[:1000])
                assert client.answer().status == 500


@pytest.mark.parametrize("handler", [closes_twice, leaves_in_the_middle, keeps_a_view])
@pytest.mark.parametrize("cut", [200, 40_000, 299_000])
def test_clients_that_go_away_in_the_middle(handler: Handler, cut: int) -> None:
    with serving(handler) as live:
        for _ in range(3):
            client = live.client()
            client.send(post(DATA)[:cut])
            client.reset()
        assert live.ask(get()).status in (200, 500)


def test_a_reader_that_is_cut_off() -> None:
    outcomes: list[str] = []
    reading = threading.Event()
    done = threading.Event()

    async def handler(request: Request) -> Response:
        try:
            await request.body.read(10)
            reading.set()
            await request.body.read()
        except BodyDisconnected as error:
            outcomes.append(error.request)
        finally:
            done.set()
        return Response()

    with serving(handler) as live:
        client = live.client()
        client.send(post(DATA, path="/up")[:1000])
        assert reading.wait(20)
        client.reset()
        assert done.wait(20)
    assert outcomes == ["POST /up"]


def test_a_thread_that_outlives_its_request() -> None:
    go = threading.Event()
    outcome: list[BaseException | bytes] = []
    threads: list[threading.Thread] = []

    def late(body: BodyReader) -> None:
        go.wait(20)
        try:
            outcome.append(body.read_blocking())
        except BodyClosedError as error:
            outcome.append(error)
        body.close()

    def handler(request: Request) -> Response:
        first = request.body.read_blocking(10)
        if len(threads) < 3:
            thread = threading.Thread(target=late, args=(request.body,))
            thread.start()
            threads.append(thread)
        return Response(first)

    with serving(handler, max_drain=1_000_000) as live, live.client() as client:
        assert client.ask(post(DATA)).body == DATA[:10]
        # The slot has other owners by now; the late close must not touch them. The fourth request
        # of the connection is begun when the third is over: no thread's request goes on still.
        for _ in range(3):
            assert client.ask(post(DATA)).body == DATA[:10]
        go.set()
        for thread in threads:
            thread.join(20)
        assert client.ask(post(DATA)).body == DATA[:10]
    assert len(outcome) == len(threads) == 3
    assert all(isinstance(entry, BodyClosedError) for entry in outcome)


def test_a_thread_that_is_reading_when_the_client_goes() -> None:
    reading = threading.Event()
    outcome: list[str] = []
    done = threading.Event()

    def handler(request: Request) -> Response:
        try:
            request.body.read_blocking(10)
            reading.set()
            request.body.read_blocking()
        except BodyDisconnected as error:
            outcome.append(type(error).__name__)
            raise
        finally:
            done.set()
        return Response()

    with serving(handler) as live:
        client = live.client()
        client.send(post(DATA)[:1000])
        assert reading.wait(20)
        client.reset()
        assert done.wait(20)
    assert outcome == ["BodyDisconnected"]


def test_a_stuck_thread_does_not_hold_the_shutdown_up() -> None:
    begun = threading.Event()
    go = threading.Event()

    def handler(request: Request) -> Response:
        begun.set()
        go.wait(20)
        return Response()

    with serving(handler, shutdown_timeout=0.05) as live, live.client() as client:
        client.send(post(DATA)[:1000])
        assert begun.wait(20)
        live.run(live.server.stop())
    go.set()


@pytest.mark.nbio_unbalanced
def test_a_forgotten_detached_body_is_found() -> None:
    async def handler(request: Request) -> Response:
        if request.method == "POST":
            request.body.detach()
        return Response(b"ok")

    def forget() -> None:
        assert client.ask(post(b"hello")).body == b"ok"
        assert client.ask(get()).body == b"ok"
        gc.collect()
        live.server.pool.drain()

    with serving(handler) as live, live.client() as client:
        with pytest.warns(ResourceWarning, match="'POST /' was never closed"):
            forget()
        assert live.server.pool.stats().leaks == 1


def test_an_asgi_application_that_ignores_a_large_upload() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"no, thanks"})

    with serving(app) as live:
        for _ in range(3):
            with live.client() as client:
                client.send(post(bytes(10_000_000))[:1_000_000])
                got = client.answer()
                assert (got.body, got.headers["connection"]) == (b"no, thanks", "close")
