"""A client that doesn't read its responses: it is waited for, not for ever, and not served more."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from nbio import Request, Response
from nbio.config import Config
from nbio.hub import Hub
from nbio.native import NativeSite
from nbio.protocol import Connection
from tests.live import get, post
from tests.machines.stage import Loop, Wire

Talk = tuple[Loop, Wire, list[str]]


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield b"x" * 100
        await asyncio.sleep(0)


@pytest.fixture
def talk() -> Iterator[Talk]:
    """A loop, a connection's transport, and the requests that were served."""
    served: list[str] = []

    async def handler(request: Request) -> Response:
        served.append(request.path)
        return Response(endless() if request.path == "/endless" else b"y" * 100)

    loop = Loop()
    site = NativeSite(handler, 1)
    hub = Hub(Config(write_timeout=8.0, interface="native"), site, loop)
    site.begin(hub.pool)
    hub.start()
    connection = Connection(hub)
    wire = Wire(loop, connection)
    connection.connection_made(wire)
    yield loop, wire, served
    wire.abort()
    loop.settle()
    hub.stop()
    loop.close()


def given(talk: Talk, data: bytes) -> None:
    loop, wire, _ = talk
    wire.kernel += data
    while wire.take(1 << 20):
        loop.settle()


@pytest.mark.parametrize(
    "late",
    [
        lambda talk: given(talk, post(b"12345", path="/endless")[-1:]),
        lambda talk: None,
    ],
    ids=["the end of its body came meanwhile", "nothing came"],
)
def test_a_client_that_takes_nothing_of_a_response_is_cut_off(
    talk: Talk, late: Callable[[Talk], None]
) -> None:
    loop, wire, _ = talk
    wire.stalled = True
    given(talk, post(b"12345", path="/endless")[:-1])
    assert wire.full
    late(talk)
    loop.elapse(7.0)
    assert not wire.lost
    # A piece that was written behind the full buffer makes it look as if something had moved, once.
    loop.elapse(10.0)
    assert wire.aborted


def test_more_requests_of_a_client_that_takes_no_responses_wait(talk: Talk) -> None:
    loop, wire, served = talk
    wire.stalled = True
    for n in range(50):
        given(talk, get(f"/{n}"))
    assert len(served) < 5, "each response would be kept in memory"
    assert wire.paused
    for _ in range(50):
        wire.flow()
        wire.stalled = True
        while wire.take(1 << 20):
            loop.settle()
        loop.settle()
    assert served == [f"/{n}" for n in range(50)]
    assert wire.out.count(b"HTTP/1.1 200") == 50


def test_its_requests_are_answered_although_it_ended_its_half_meanwhile(talk: Talk) -> None:
    loop, wire, served = talk
    wire.stalled = True
    given(talk, b"".join(get(f"/{n}") for n in range(9)))
    wire.ending = True
    wire.end()
    loop.settle()
    while len(served) < 9:
        before = len(served)
        wire.flow()
        wire.stalled = True
        loop.settle()
        wire.end()
        assert len(served) > before, "nobody is waited for, and nothing goes on"
    wire.flow()
    loop.settle()
    assert wire.out.count(b"HTTP/1.1 200") == 9
    assert wire.lost


def test_a_request_that_came_behind_a_stalled_stream_does_not_save_it(talk: Talk) -> None:
    loop, wire, _ = talk
    given(talk, get("/a"))
    wire.stalled = True
    given(talk, get("/endless") + get("/b"))
    assert wire.full
    loop.elapse(17.0)
    assert wire.aborted
