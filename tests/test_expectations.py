"""`Expect: 100-continue`: told at the first read that has to wait, however it reads; else never."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from nbio import Request, Response
from tests.live import post, serving

HEAD = post(b"hello", "Expect: 100-continue")[:-5]
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


async def reads(request: Request) -> bytes:
    return await request.body.read()


async def reads_into(request: Request) -> bytes:
    buffer = bytearray(5)
    assert await request.body.readinto(buffer) == 5
    return bytes(buffer)


async def reads_exactly(request: Request) -> bytes:
    return await request.body.readexactly(5)


async def iterates(request: Request) -> bytes:
    return b"".join([piece async for piece in request.body])


async def views(request: Request) -> bytes:
    return b"".join([bytes(view) async for view in request.body.views()])


async def reads_in_a_thread(request: Request) -> bytes:
    return await asyncio.to_thread(request.body.read_blocking)


async def reads_in_a_second_loop(request: Request) -> bytes:
    return await asyncio.to_thread(asyncio.run, reads(request))


async def is_cancelled_and_reads_again(request: Request) -> bytes:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await request.body.read()
    return await request.body.read()


@pytest.mark.parametrize(
    "how",
    [
        reads,
        reads_into,
        reads_exactly,
        iterates,
        views,
        reads_in_a_thread,
        reads_in_a_second_loop,
        is_cancelled_and_reads_again,
    ],
)
def test_the_first_read_asks_for_it(how: Callable[[Request], Awaitable[bytes]]) -> None:
    async def handler(request: Request) -> Response:
        return Response(await how(request))

    with serving(handler) as live, live.client() as client:
        for _ in range(2):
            client.send(HEAD)
            assert client.until(b"\r\n\r\n") == CONTINUE
            assert client.ask(b"hello").body == b"hello"


def test_a_synchronous_handler_asks_for_it() -> None:
    def handler(request: Request) -> Response:
        return Response(b"".join(request.iter_body(2)))

    with serving(handler) as live, live.client() as client:
        client.send(HEAD)
        assert client.until(b"\r\n\r\n") == CONTINUE
        assert client.ask(b"hello").body == b"hello"


async def looks(request: Request) -> None:
    body = request.body
    assert (body.closed, body.at_eof, body.received) == (False, False, 0)
    body.views()


async def closes(request: Request) -> None:
    async with request.body:
        pass


@pytest.mark.parametrize("how", [looks, closes])
def test_who_only_looks_at_it_does_not(how: Callable[[Request], Awaitable[None]]) -> None:
    async def handler(request: Request) -> Response:
        await how(request)
        # Whatever would be sent by now is.
        for _ in range(3):
            await asyncio.sleep(0)
        return Response(b"no thanks", status=403)

    with serving(handler) as live, live.client() as client:
        client.send(HEAD)
        raw = client.rest()
        assert raw.startswith(b"HTTP/1.1 403 ")
        assert b"connection: close" in raw


def test_a_wsgi_application_that_only_looks_at_its_input_does_not() -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        assert environ["wsgi.input"].readable()
        start_response("403 Forbidden", [("Content-Length", "2")])
        return [b"no"]

    with serving(app) as live, live.client() as client:
        client.send(HEAD)
        assert client.rest().startswith(b"HTTP/1.1 403 ")


def test_nobody_is_asked_for_what_is_on_its_way() -> None:
    """RFC 9110, 10.1.1: a server that has received some of it needn't ask."""

    async def handler(request: Request) -> Response:
        return Response(await request.body.read(2) + await request.body.readexactly(3))

    with serving(handler) as live, live.client() as client:
        client.send(HEAD + b"hello")
        assert client.answer().body == b"hello"
