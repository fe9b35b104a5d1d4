"""What tests of other people's applications are given."""

import asyncio

import httpx
import pytest

from nbio import PoolImbalance, Request, Response
from nbio.asgi import Receive, Scope, Send
from nbio.lifespan import StartupFailed
from nbio.testing import client, serve

kept: list[object] = []


async def echo(request: Request) -> Response:
    if request.path == "/keep":
        request.body.detach()
        kept.append(request.body)
    return Response(await request.body.read(), headers=[("X-Method", request.method)])


def test_a_real_server() -> None:
    with serve(echo) as served:
        answer = httpx.post(f"{served.url}/x", content=b"data")
        assert (answer.status_code, answer.content) == (200, b"data")
        assert served.pool.stats().acquired == 1
    with pytest.raises(httpx.ConnectError):
        httpx.get(served.url)


@pytest.mark.nbio_unbalanced
def test_a_body_that_is_kept_is_told_of() -> None:
    async def keeps(request: Request) -> Response:
        body = request.body
        body.detach()
        kept.append(body)
        return Response()

    with pytest.raises(PoolImbalance), serve(keeps) as served:
        httpx.post(served.url, content=b"data")
    kept.clear()


async def failing(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})


def test_an_application_that_cannot_start() -> None:
    with pytest.raises(StartupFailed, match="no database"), serve(failing):
        pass


async def memory() -> None:
    async with client(echo) as without_sockets:
        answer = await without_sockets.request("POST", "/", body=b"x" * 200_000)
        assert (answer.status, answer.header("X-Method")) == (200, "POST")
        assert answer.body == b"x" * 200_000
        answer = await without_sockets.request("PUT", "/", body=[b"ab", b"c"])
        assert answer.body == b"abc"
        answer = await without_sockets.request("HEAD", "/")
        assert (answer.status, answer.body) == (200, b"")
        answers = await asyncio.gather(*(without_sockets.get("/") for _ in range(20)))
        assert {answer.status for answer in answers} == {200}
        stats = without_sockets.server.pool.stats()
        assert stats.acquired == stats.released


async def raw_bytes() -> None:
    async with client(echo) as without_sockets:
        with without_sockets.connect() as connection:
            connection.send(b"GET / HTTP/1.1\r\nHo")
            connection.send(b"st: a\r\n\r\nbad\r\n\r\n")
            received = b""
            while data := await connection.receive():
                received += data
            assert received.count(b"HTTP/1.1 200 OK\r\n") == 1
            assert received.count(b"HTTP/1.1 400 ") == 1
        with without_sockets.connect() as connection:
            connection.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf")
            connection.end()
            assert (await connection.receive()).startswith(b"HTTP/1.1 400 ")
        gone = without_sockets.connect()
        gone.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf")
        await asyncio.sleep(0)
        gone.close()


async def lifespan() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            for _ in range(2):
                kind = (await receive())["type"]
                seen.append(kind)
                await send({"type": kind + ".complete"})
            return
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await send({"type": "http.response.body", "body": b"two"})

    async with client(app) as without_sockets:
        assert (await without_sockets.get("/")).body == b"onetwo"
        assert seen == ["lifespan.startup"]
    assert seen == ["lifespan.startup", "lifespan.shutdown"]


@pytest.mark.parametrize("part", [memory, raw_bytes, lifespan])
def test_a_client_without_sockets(part: object) -> None:
    assert callable(part)
    asyncio.run(part())


def test_a_server_in_a_loop_of_ones_own() -> None:
    async def main() -> None:
        from nbio import Server

        server = Server(echo, port=0)
        task = asyncio.create_task(server.serve())
        while not server.addresses:
            await asyncio.sleep(0)
        async with httpx.AsyncClient() as asking:
            assert (await asking.post(server.url, content=b"mine")).content == b"mine"
        server.shutdown()
        await task
        server.pool.assert_balanced()

    asyncio.run(main())
