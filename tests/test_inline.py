"""Inline handlers: on the loop's thread, without a task, and with every promise of the others."""

import asyncio
import contextvars
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

import nbio
from nbio import File, Request, Response, inline
from nbio.testing import serve
from tests.live import Client, chunked, get, post, serving

SEEN = contextvars.ContextVar("SEEN", default="nothing")


@inline
def echo(request: Request) -> Response:
    """Every way to read a body that is here."""
    if request.path == "/pieces":
        return Response(b"|".join(request.iter_body(4)))
    return Response(request.body.read_blocking())


def test_it_runs_on_the_loops_thread_without_a_task() -> None:
    found: list[tuple[int, bool, str]] = []

    @inline
    def handler(request: Request) -> Response:
        assert asyncio.get_running_loop() is not None
        found.append((threading.get_ident(), asyncio.current_task() is None, SEEN.get()))
        SEEN.set("mine")
        return Response(request.path)

    with serving(handler) as live:
        with live.client() as client:
            # One after the other, and pipelined.
            assert client.ask(get("/a")).body == b"/a"
            client.send(get("/b") + get("/c") + get("/d", "Connection: close"))
            assert client.rest().count(b"200 OK") == 3
        assert found == [(live.thread.ident, True, "nothing")] * 4


def test_it_can_still_be_called_and_can_not_be_a_coroutine_function() -> None:
    @inline
    def handler(request: Request) -> Response:
        return Response("as it is")

    async def never(request: Request) -> Response:
        raise NotImplementedError

    assert handler.__doc__ is inline(handler.handler).__doc__
    with pytest.raises(TypeError, match="only a plain def"):
        inline(never)  # type: ignore[arg-type] # what is refused


@pytest.mark.parametrize("size", [2, 1000, 100_000, 262_144])
def test_a_body_is_here_when_the_handler_is_called(size: int) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    body = body[:size]
    with serving(echo) as live, live.client() as client:
        assert client.ask(post(body)).body == body
        assert client.ask(chunked(body[: size // 2], body[size // 2 :])).body == body
        if size <= 1000:
            # Each byte by itself: only the last calls the handler.
            head, _, _ = post(body).partition(b"\r\n\r\n")
            client.send(head + b"\r\n\r\n")
            for at in range(size):
                client.send(body[at : at + 1])
            assert client.answer().body == body


def test_a_body_in_pieces() -> None:
    with serving(echo) as live, live.client() as client:
        assert client.ask(post(b"abcdefghij", path="/pieces")).body == b"abcd|efgh|ij"
        assert client.ask(get("/pieces")).body == b""


@pytest.mark.parametrize("data", [post(bytes(400_000)), chunked(*[bytes(50_000)] * 8)])
def test_a_body_that_can_not_be_held_is_refused(data: bytes) -> None:
    with serving(echo) as live:
        with live.client() as client:
            client.send(data)
            answer = client.answer()
            assert (answer.status, answer.headers["connection"]) == (413, "close")
            assert b"longer than 262144 bytes" in answer.body
        assert live.ask(post(b"x")).body == b"x"


def test_a_client_that_waits_to_send_its_body_is_told_to() -> None:
    with serving(echo) as live, live.client() as client:
        data = post(b"body", "Expect: 100-continue")
        client.send(data[:-4])
        assert client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert client.ask(data[-4:]).body == b"body"


@pytest.mark.parametrize("how", ["reset", "end", "late", "broken"])
def test_a_body_that_never_comes_calls_nobody(how: str) -> None:
    called: list[str] = []

    @inline
    def handler(request: Request) -> Response:
        called.append(request.path)
        return Response(request.body.read_blocking())

    with serving(handler, body_timeout=0.2, body_min_bytes=10) as live:
        with live.client() as client:
            data = chunked(b"0123456789", path="/cut")
            client.send(data[:-5] + (b"nonsense\r\n" if how == "broken" else b""))
            if how == "reset":
                client.reset()
            elif how == "end":
                client.end()
                assert client.answer().status == 400
            else:
                assert client.answer().status == (400 if how == "broken" else 408)
        # Not before the server has seen the reset.
        assert live.ask(get("/next")).status == 200
    assert called == ["/next"]


def test_one_that_raises_is_answered_500(caplog: pytest.LogCaptureFixture) -> None:
    @inline
    def handler(request: Request) -> Response:
        if request.path == "/wrong":
            return "no response"  # type: ignore[return-value] # what is refused
        raise ValueError("on purpose")

    with serving(handler) as live, caplog.at_level(logging.ERROR, "nbio"):
        for path, said in [("/raises", "on purpose"), ("/wrong", "returned str, not nbio.Res")]:
            caplog.clear()
            assert live.ask(get(path)).status == 500
            [record] = caplog.records
            assert record.getMessage() == f"GET {path}: the application raised"
            assert record.exc_info is not None
            assert said in str(record.exc_info[1])
            assert live.ask(post(b"body", path=path)).status == 500


def test_a_head_has_no_body_and_http_1_0_closes() -> None:
    @inline
    def handler(request: Request) -> Response:
        return Response("twelve bytes", trailers=lambda: [("x", "y")])

    with serving(handler) as live, live.client() as client:
        client.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = client.answer("HEAD")
        assert (answer.status, answer.headers["content-length"], answer.body) == (200, "12", b"")
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        assert client.rest().endswith(b"connection: close\r\n\r\ntwelve bytes")


def test_thousands_of_pipelined_requests_do_not_nest() -> None:
    number = 3000
    with serving(echo) as live, live.client() as client:
        client.send(get("/") * (number - 1) + get("/last", "Connection: close"))
        assert client.rest().count(b"HTTP/1.1 200 OK") == number


def test_others_are_answered_among_the_requests_of_one() -> None:
    """Ten thousand are pipelined; somebody else's request comes when the first has begun."""
    order: list[str] = []
    begun = threading.Event()

    @inline
    def handler(request: Request) -> Response:
        order.append(request.path)
        begun.set()
        return Response(b"")

    number = 10_000
    with serving(handler) as live, live.client() as client, live.client() as other:
        assert other.ask(get("/warm")).status == 200
        begun.clear()
        thread = threading.Thread(target=client.send, args=(get("/many") * number,))
        thread.start()
        begun.wait(20)
        assert other.ask(get("/other")).status == 200
        client.until(b"\r\n\r\n")
        thread.join()
        answered = b""
        while answered.count(b"200 OK") < number - 1:
            answered += client.socket.recv(1 << 20)
    assert order.count("/many") == number
    assert order.index("/other") < number, "it waited for all of them"


def test_what_takes_its_time_goes_the_ordinary_way(tmp_path: Path) -> None:
    threads: list[int] = []
    seen: list[str] = []
    (tmp_path / "file").write_bytes(b"from a file")

    def slowly() -> Iterator[bytes]:
        threads.append(threading.get_ident())
        yield b"one "
        yield b"by one"

    async def later() -> AsyncIterator[bytes]:
        assert asyncio.current_task() is not None
        seen.append(SEEN.get())
        await asyncio.sleep(0)
        yield b"some time"

    async def fails() -> AsyncIterator[bytes]:
        yield b"begun"
        raise ValueError("on purpose")

    @inline
    def handler(request: Request) -> Response:
        assert SEEN.get() == "nothing", "whoever was answered before has a context of his own"
        SEEN.set(request.path)
        if request.path == "/sync":
            return Response(slowly())
        if request.path == "/async":
            return Response(later())
        if request.path == "/fails":
            return Response(fails())
        return Response(File(tmp_path / "file"))

    with serving(handler) as live, live.client() as client:
        for path, body in [
            ("/sync", b"one by one"),
            ("/async", b"some time"),
            ("/file", b"from a file"),
        ]:
            assert client.ask(get(path)).body == body
        client.send(get("/async") + get("/sync") + get("/file", "Connection: close"))
        assert client.rest().count(b"200 OK") == 3
        assert live.thread.ident not in threads
        assert seen == ["/async"] * 2, "its stream runs in the handler's context"
        with live.client() as other:
            other.send(get("/fails"))
            assert other.until(b"begun").startswith(b"HTTP/1.1 200")
            assert other.closed()


def test_a_timeout_can_not_interrupt_it() -> None:
    @inline
    def handler(request: Request) -> Response:
        threading.Event().wait(0.15)
        return Response("late")

    with serving(handler, app_timeout=0.05) as live:
        assert live.ask(get()).body == b"late"


def test_a_shutdown_waits_for_one_whose_body_is_on_its_way() -> None:
    with serving(echo) as live, live.client() as client:
        data = post(b"body")
        client.send(data[:-2])
        # The server has the first part when it answers somebody after it.
        assert live.ask(get()).status == 200
        stopping = asyncio.run_coroutine_threadsafe(live.server.stop(), live.loop)
        live.run(closing(live.server))
        answer = client.ask(data[-2:])
        assert (answer.body, answer.headers["connection"]) == (b"body", "close")
        stopping.result(20)


async def closing(server: nbio.Server) -> None:
    """Wait until it takes no more connections."""
    hub = server._hub
    assert hub is not None
    while not hub.closing:
        await asyncio.sleep(0)


def test_a_shutdown_ends_one_whose_body_does_not_come() -> None:
    with serving(echo, shutdown_timeout=0.1) as live, live.client() as client:
        client.send(post(b"body")[:-2])
        assert live.ask(get()).status == 200
        live.run(live.server.stop())
        assert client.closed()


def test_it_is_logged_and_has_an_id(caplog: pytest.LogCaptureFixture) -> None:
    lines: list[str] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    @inline
    def handler(request: Request) -> Response:
        if request.path == "/fails":
            raise ValueError("on purpose")
        return Response(request.headers["x-request-id"])

    access, told = logging.getLogger("nbio.access"), Lines()
    access.addHandler(told)
    access.setLevel(logging.INFO)
    try:
        form = "%(m)s %(U)s %(s)s %(B)s"
        with (
            serve(handler, access_log=True, access_format=form, request_ids=True) as served,
            Client(served.port) as client,
        ):
            client.send(get("/id") + get("/fails"))
            answer = client.rest()
    finally:
        access.removeHandler(told)
    head, _, rest = answer.partition(b"\r\n\r\n")
    assert b"x-request-id: " + rest[:32] in head
    assert [line.rsplit(" ", 1)[0] for line in lines] == ["GET /id 200", "GET /fails 500"]
