"""What takes too long, comes too slowly, or is too much: each ends by itself."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable

import pytest

from nbio import BodyDisconnected, Request, Response
from tests.live import chunked, get, post, serving


async def echo(request: Request) -> Response:
    return Response(await request.body.read())


def drip(send: Callable[[bytes], None], data: bytes, stop: threading.Event, pause: float) -> None:
    """Send byte by byte, with pauses, until told or refused."""
    for at in range(len(data)):
        if stop.wait(pause):
            return
        try:
            send(data[at : at + 1])
        except OSError:
            return


@pytest.mark.parametrize(
    ("data", "options", "status"),
    [
        (get("/", "A: " + "b" * 5000), {"head_timeout": 0.3}, 408),
        (b"\r\n" + get("/", "A: " + "b" * 5000), {"head_timeout": 0.3}, 408),
        (post(bytes(5000)), {"body_timeout": 0.3, "body_min_bytes": 1000}, 408),
        (chunked(*[b"x"] * 1000), {"body_timeout": 0.3, "body_min_bytes": 1000}, 408),
        (post(bytes(5000))[:-1], {"body_timeout": 0.3, "body_min_bytes": 1}, 408),
    ],
)
def test_a_slow_sender_is_told_so(data: bytes, options: dict[str, float], status: int) -> None:
    start = data.find(b"\r\n\r\n") + 4 if b"POST" in data else 0
    # At the least rate that is allowed, every byte counts; so none at all comes.
    rest = data[start:] if options.get("body_min_bytes") != 1 else b""
    with serving(echo, **options) as live, live.client() as client:
        stop = threading.Event()
        client.send(data[:start])
        thread = threading.Thread(target=drip, args=(client.send, rest, stop, 0.01))
        thread.start()
        began = time.monotonic()
        answer = client.answer()
        stop.set()
        thread.join()
        assert (answer.status, answer.headers["connection"]) == (status, "close")
        assert time.monotonic() - began < 5


def test_a_body_at_the_least_rate_is_taken() -> None:
    body = bytes(60)
    with serving(echo, body_timeout=0.2, body_min_bytes=1) as live, live.client() as client:
        data = post(body)
        client.send(data[: -len(body)])
        drip(client.send, body, threading.Event(), 0.01)
        assert client.answer().body == body


@pytest.mark.parametrize("sent", [b"", get(), b"\r\n"])
def test_who_says_nothing_is_closed_without_a_word(sent: bytes) -> None:
    with serving(echo, idle_timeout=0.1, head_timeout=0.1) as live, live.client() as client:
        if sent == get():
            assert client.ask(sent).status == 200
            assert client.rest() == b""
        elif sent:
            client.send(sent)
            assert client.answer().status == 408, "an empty line is the beginning of a request"
        else:
            assert client.rest() == b""


def test_empty_lines_do_not_buy_time() -> None:
    with serving(echo, idle_timeout=0.3, head_timeout=0.3) as live, live.client() as client:
        assert client.ask(get()).status == 200
        began = time.monotonic()
        stop = threading.Event()
        thread = threading.Thread(target=drip, args=(client.send, b"\r\n\r\n", stop, 0.2))
        thread.start()
        assert client.answer().status == 408
        stop.set()
        thread.join()
        assert time.monotonic() - began < 0.75


def test_an_application_that_takes_too_long(caplog: pytest.LogCaptureFixture) -> None:
    cancelled = threading.Event()

    async def sleepy(request: Request) -> Response:
        if request.path == "/quick":
            return Response(b"quick")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return Response()

    with serving(sleepy, app_timeout=0.2) as live:
        for data in (get(), post(b"hello"), post(bytes(100_000))):
            cancelled.clear()
            with live.client() as client:
                assert client.ask(get("/quick")).body == b"quick"
                answer = client.ask(data)
                assert (answer.status, answer.headers["connection"]) == (503, "close")
                assert client.rest() == b""
            assert cancelled.wait(5)
    assert "GET /: the application didn't answer in time" in caplog.text


def test_a_thread_that_takes_too_long(caplog: pytest.LogCaptureFixture) -> None:
    go = threading.Event()
    outcome: list[str] = []
    over = threading.Event()

    def stuck(request: Request) -> Response:
        go.wait(20)
        try:
            request.body.read_blocking()
        except Exception as error:
            outcome.append(type(error).__name__)
        over.set()
        return Response()

    with serving(stuck, app_timeout=0.2) as live:
        assert live.ask(post(bytes(100_000))).status == 503
        go.set()
        assert over.wait(20)
    assert outcome == ["BodyClosedError"]


def test_a_response_that_has_begun_may_take_its_time() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"be"
        await asyncio.sleep(0.5)
        yield b"gun"

    async def slow(request: Request) -> Response:
        return Response(pieces())

    with serving(slow, app_timeout=0.1) as live:
        assert live.ask(get()).body == b"begun"


@pytest.mark.parametrize("size", [500_000, 20_000_000])
def test_a_client_that_only_reads_when_all_is_sent(size: int) -> None:
    """It is answered at once; what it still sends mustn't take the answer away."""

    async def forbidden(request: Request) -> Response:
        return Response(b"no", status=403)

    with serving(forbidden, linger_timeout=0.5) as live, live.client() as client:
        try:
            client.send(post(bytes(size)))
        except ConnectionError:
            assert size > 1_000_000
        answer = client.answer()
        assert (answer.status, answer.headers["connection"]) == (403, "close")


def test_half_a_pipelined_head_is_no_reason_to_stop_reading() -> None:
    """More than `max_pipelined` of it, and its end comes later: it must be read."""
    seen = threading.Event()

    async def late(request: Request) -> Response:
        if request.method == "POST":
            seen.set()
            return Response(b"first")
        return Response(b"second")

    with serving(late, max_pipelined=100) as live, live.client() as client:
        upload = post(bytes(1000))
        client.send(upload[:-10])
        assert seen.wait(20)
        assert client.until(b"first")
        second = get("/", "A: " + "b" * 500)
        client.send(upload[-10:] + second[:300])
        client.send(second[300:])
        assert client.until(b"second")


def test_a_connection_is_idle_also_after_a_large_response() -> None:
    async def large(request: Request) -> Response:
        return Response(bytes(5_000_000))

    with serving(large, idle_timeout=0.2) as live, live.client() as client:
        assert len(client.ask(get()).body) == 5_000_000
        assert client.rest() == b""


def test_a_refusal_behind_a_response_that_is_still_made() -> None:
    go = threading.Event()
    outcome: list[str] = []

    async def waits(request: Request) -> Response:
        try:
            await request.body.read()
        except BodyDisconnected:
            outcome.append("cut off")
        await asyncio.to_thread(go.wait)
        return Response(b"made")

    with serving(waits) as live, live.client() as client:
        client.send(get() + b"GET / HTTP/1.1\r\nHost : h\r\n\r\n")
        go.set()
        assert client.until(b"made")
        assert client.answer().status == 400
        assert client.rest() == b""
    assert outcome == []
