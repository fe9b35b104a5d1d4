"""A detached body and the connection that it keeps: in turn, and not for ever."""

import asyncio
from collections.abc import AsyncIterator

import pytest

import nbio
from nbio.body import BodyReader
from tests.live import get, post, serving

KEPT: list[BodyReader] = []
LARGE = 1 << 20
"""More than a body of these tests may hold."""
SMALL = {"high_water": 2, "low_water": 1, "max_drain": 1 << 21, "linger_timeout": 0.1}


async def detaching(request: nbio.Request) -> nbio.Response:
    """Keep an upload, answer at once."""
    if request.method == "POST":
        KEPT.append(request.body.detach())
    return nbio.Response(request.method)


@pytest.fixture(autouse=True)
def _forget() -> None:
    KEPT.clear()


def test_a_detached_body_that_nobody_reads_does_not_keep_its_connection_for_ever() -> None:
    with serving(detaching, **SMALL, body_timeout=0.2) as live, live.client() as client:
        # More than it may hold: the connection pauses, and only the clock can end that.
        client.send(post(b"x" * LARGE)[: LARGE // 2])
        assert client.answer("POST").body == b"POST"
        assert client.closed()
        live.run(asyncio.sleep(0))
        KEPT.pop().close()


def test_a_detached_body_that_is_read_slowly_is_not_cut_off() -> None:
    got: list[int] = []

    async def drain(body: BodyReader) -> None:
        """One piece in each of the clock's periods, and not sooner."""
        async for view in pieces(body):
            got.append(view)
            await asyncio.sleep(0.15)
            if len(got) == 6:
                break

    async def pieces(body: BodyReader) -> AsyncIterator[int]:
        while data := await body.read(4096):
            yield len(data)

    with serving(detaching, **SMALL, body_timeout=0.3) as live, live.client() as client:
        client.send(post(b"x" * LARGE)[: LARGE // 2])
        assert client.answer("POST").body == b"POST"
        live.run(drain(KEPT[0]))
        assert got == [4096] * 6
        live.run(close(KEPT.pop()))


async def close(body: BodyReader) -> None:
    body.close()


def test_the_next_request_waits_for_the_detached_body_before_it() -> None:
    with serving(detaching, **SMALL) as live, live.client() as client:
        upload = post(b"x" * 9000)
        client.send(upload[:-1])
        assert client.answer("POST").body == b"POST"
        body = KEPT.pop()
        assert live.run(body.readexactly(8999)) == b"x" * 8999
        assert live.server.requests == 1
        # The last byte, and the next request in the same segment.
        client.send(upload[-1:] + get())
        assert client.answer().body == b"GET"
        assert live.run(body.read()) == b"x"
        assert live.run(body.read()) == b""
        body.close()


def test_a_last_request_keeps_its_connection_too_until_its_detached_body_is_in() -> None:
    with serving(detaching, **SMALL) as live, live.client() as client:
        upload = post(b"x" * 9000, "Connection: close")
        client.send(upload[:-1])
        answer = client.answer("POST")
        assert (answer.body, answer.headers["connection"]) == (b"POST", "close")
        body = KEPT.pop()
        assert live.run(body.readexactly(8999)) == b"x" * 8999
        client.send(upload[-1:])
        assert live.run(body.read()) == b"x"
        assert client.rest() == b""
        body.close()


def test_a_shutdown_does_not_wait_for_a_detached_body() -> None:
    with serving(detaching, **SMALL, shutdown_timeout=0.2) as live:
        client = live.client()
        client.send(post(b"x" * LARGE)[: LARGE // 2])
        assert client.answer("POST").body == b"POST"
        live.run(live.server.stop())
        assert client.closed()
        client.socket.close()
        KEPT.pop().close()
