"""A WSGI response's way back to the loop: once, and not later than it has to be."""

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nbio import Request, Response
from nbio.config import Config
from nbio.exchange import Peer
from nbio.heads import RequestHead
from nbio.hub import Hub
from nbio.loading import site_for
from nbio.workers import Landing
from nbio.wsgi_reply import _KNOWN_FIELDS, _fields, start_fields
from tests.live import Live, get, serving


def test_a_response_does_not_wait_for_its_close() -> None:
    answered = threading.Event()
    closed = threading.Event()

    class Closing(list[bytes]):
        def close(self) -> None:
            assert answered.wait(20)
            closed.set()

    def app(environ: Any, start: Any) -> Any:
        start("200 OK", [("Content-Type", "text/plain")])
        return Closing([b"body"])

    with serving(app, interface="wsgi") as live:
        assert live.ask(get()).body == b"body"
        assert not closed.is_set()
        answered.set()
        assert closed.wait(20)


def test_fields_of_all_kinds_are_sent_as_the_application_said() -> None:
    kinds: dict[str, list[Any]] = {
        "/tuples": [("X-A", "1"), ("Content-Length", "2")],
        "/lists": [["X-A", "1"], ["Content-Length", "2"]],
    }

    def app(environ: Any, start: Any) -> Any:
        start("200 OK", kinds[environ["PATH_INFO"]])
        return [b"ok"]

    with serving(app, interface="wsgi") as live:
        for path in [*kinds, *kinds]:
            answer = live.ask(get(path))
            assert (answer.status, answer.body, answer.headers["x-a"]) == (200, b"ok", "1")


def test_what_is_remembered_of_fields_is_bounded() -> None:
    for number in range(_KNOWN_FIELDS * 3):
        assert start_fields([("Content-Length", str(number))])[1] == number
    start_fields([("X", "y" * 5000)])
    assert 0 < len(_fields) <= _KNOWN_FIELDS
    assert all(len(value) < 5000 for key in _fields for _, value in key)


class Calls:
    """What a loop was told to call."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] = []

    def call_soon_threadsafe(self, callback: Callable[[], None]) -> None:
        self.calls.append(callback)

    call_soon = call_soon_threadsafe


class One:
    def __init__(self, told: list[int], number: int) -> None:
        self._told = told
        self._number = number

    def land(self) -> None:
        self._told.append(self._number)
        if self._number == 13:
            raise KeyboardInterrupt


def test_the_loop_is_woken_once_for_all_that_has_landed() -> None:
    loop: Any = Calls()
    landing = Landing(loop)
    told: list[int] = []
    for number in range(5):
        landing.add(One(told, number))
    assert len(loop.calls) == 1
    loop.calls.pop()()
    assert told == [0, 1, 2, 3, 4]
    landing.add(One(told, 5))
    assert len(loop.calls) == 1, "and woken again for what comes after that"
    # What ends the loop loses nothing that has landed with it.
    landing.add(One(told, 13))
    landing.add(One(told, 14))
    with pytest.raises(KeyboardInterrupt):
        loop.calls.pop()()
    loop.calls.pop()()
    assert told == [0, 1, 2, 3, 4, 5, 13, 14]


def waiting_app(barrier: threading.Barrier) -> Any:
    def app(environ: Any, start: Any) -> Any:
        barrier.wait(20)
        start("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    return app


def waiting_handler(barrier: threading.Barrier) -> Any:
    def handler(request: Request) -> Response:
        barrier.wait(20)
        return Response(b"ok")

    return handler


@pytest.mark.parametrize("make", [waiting_app, waiting_handler])
def test_as_many_applications_run_at_once_as_there_are_threads(make: Any) -> None:
    with serving(make(threading.Barrier(4)), threads=4) as live, ExitStack() as stack:
        clients = [stack.enter_context(live.client()) for _ in range(8)]
        for client in clients:
            client.send(get())
        assert {client.answer().body for client in clients} == {b"ok"}


def test_what_comes_after_the_application_s_time_is_dropped(tmp_path: Path) -> None:
    go = threading.Event()
    held: list[str] = []
    path = tmp_path / "file"
    path.write_bytes(b"too late")

    def app(environ: Any, start: Any) -> Any:
        assert go.wait(20)
        held.append(environ["PATH_INFO"])
        start("200 OK", [("Content-Length", "8")])
        if environ["PATH_INFO"] == "/file":
            return environ["wsgi.file_wrapper"](path.open("rb"))
        return iter([b"too", b" late"]) if environ["PATH_INFO"] == "/stream" else [b"too late"]

    with serving(app, app_timeout=0.1, threads=3) as live:
        paths = ["/whole", "/stream", "/file"]
        for asked in paths:
            assert live.ask(get(asked)).status == 503
        before = os.listdir("/proc/self/fd") if sys.platform == "linux" else []
        go.set()
        live.run(all_landed(live))
        assert sorted(held) == sorted(paths)
        if sys.platform == "linux":
            assert len(os.listdir("/proc/self/fd")) <= len(before)


async def all_landed(live: Live) -> None:
    """Until no thread has anything more to say."""
    site: Any = live.server._site
    while site.workers._landing.busy:
        await asyncio.sleep(0.001)


def test_a_thread_s_exit_is_no_reason_to_stop_a_server() -> None:
    def handler(request: Request) -> Response:
        if request.path == "/exit":
            raise SystemExit
        if request.path == "/stop":
            raise StopIteration
        return Response(b"here")

    with serving(handler) as live, live.client() as client:
        for path, status in (("/exit", 500), ("/stop", 500), ("/", 200)):
            with live.client() as client:
                assert client.ask(get(path)).status == status


def test_small_pieces_of_a_list_are_one_write() -> None:
    def app(environ: Any, start: Any) -> Any:
        start("200 OK", [("Content-Type", "text/plain")])
        return [b"a", b"", b"b"] if environ["PATH_INFO"] == "/" else [b"a", "b"]

    with serving(app, interface="wsgi") as live:
        answer = live.ask(get())
        assert (answer.body, answer.headers["content-length"]) == (b"ab", "2")
        assert live.ask(get("/text")).status == 500


@pytest.mark.parametrize("interface", ["wsgi", "native"])
def test_a_request_that_was_given_up_before_its_turn_takes_no_thread(interface: Any) -> None:
    def app(*_: Any) -> Any:
        raise AssertionError("nobody wants this any more")

    wire: Any = SimpleNamespace(ended=lambda _: None)
    config = Config(interface=interface)
    site: Any = site_for(app, config)
    loop: Any = SimpleNamespace(time=lambda: 0.0)
    hub = Hub(config, site, loop)
    exchange = site.exchange(wire, RequestHead("GET", b"/", b"", "1.1", []), None, Peer(None, None))
    exchange.cancel()
    assert exchange.over
    exchange.begin(hub)
    assert site.workers._landing is None
