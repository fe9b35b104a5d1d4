"""Clients and networks that do what they like: the server goes on, the pool balances."""

import asyncio
import logging
import random
import socket
import threading

import pytest

from nbio import BodyError, Request, Response
from nbio.asgi import Receive, Scope, Send
from nbio.server import Server
from tests.live import chunked, get, post, serving


async def echo(request: Request) -> Response:
    try:
        return Response(await request.body.read())
    except BodyError:
        return Response(status=400)


@pytest.mark.parametrize("data", [get(), post(b"hello"), chunked(b"he", b"llo")])
@pytest.mark.parametrize("how", ["reset", "end"])
def test_a_client_gone_at_every_byte(data: bytes, how: str) -> None:
    with serving(echo) as live:
        for cut in range(len(data)):
            with live.client() as client:
                client.send(data[:cut])
                if how == "reset":
                    client.reset()
                else:
                    client.end()
                    assert client.rest() == b"" or cut > data.index(b"\r\n\r\n")
        assert live.ask(data).status == 200


def test_uploads_cut_at_random_offsets() -> None:
    chance = random.Random(445)
    data = [post(bytes(400_000)), chunked(*[bytes(9000)] * 45)]
    with serving(echo) as live:
        for _ in range(200):
            upload = chance.choice(data)
            client = live.client()
            client.send(upload[: chance.randrange(len(upload))])
            client.reset()
        assert live.ask(post(b"still here")).body == b"still here"


@pytest.mark.parametrize("data", [post(b"hello") + get(), chunked(b"he", b"llo") + get()])
def test_every_split_on_a_real_socket(data: bytes) -> None:
    with serving(echo) as live, live.client() as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for cut in range(1, len(data)):
            client.send(data[:cut])
            client.send(data[cut:])
            raw = client.until(b"\r\n\r\nhello")
            raw += client.until(b"content-length: 0\r\n\r\n")
            assert raw.count(b"HTTP/1.1 200 OK\r\n") == 2, f"cut at {cut}"


def test_an_unfinished_http_10_response_ends_in_a_reset(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise ValueError("on purpose")

    with serving(app) as live, live.client() as client:
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            client.rest()


def test_many_requests_at_once_on_many_connections() -> None:
    with serving(echo) as live:
        failures: list[BaseException] = []

        def use(number: int) -> None:
            try:
                with live.client() as client:
                    for n in range(20):
                        body = b"%d," % number * (n * 700)
                        encode = post if n % 2 else chunked
                        assert client.ask(encode(body) if body else post(b"")).body == body
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=use, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert failures == []


def test_no_room_in_the_pool_is_a_503() -> None:
    go = threading.Event()

    async def slow(request: Request) -> Response:
        await asyncio.to_thread(go.wait)
        return Response(b"%d" % len(await request.body.read()))

    with serving(slow, max_bodies=1, max_blocks=2) as live:
        with live.client() as first, live.client() as second:
            first.send(post(bytes(65536)))
            while live.server.pool.stats().acquired == 0:
                pass
            assert second.ask(post(b"x")).status == 503
            go.set()
            assert first.answer().body == b"65536"
        with live.client() as client:
            client.send(post(bytes(300_000)))
            assert client.answer().status in (200, 503)
        while live.server.pool.stats().outstanding:
            pass
        assert live.ask(post(b"x")).status == 200


def test_on_the_standard_loop() -> None:
    """Everything above ran on uvloop where it is installed."""

    async def main() -> None:
        server = Server(echo, port=0, idle_timeout=0.2)
        async with server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            for encode in (post, chunked):
                body = bytes(1_000_000)
                writer.write(encode(body) + get())
                head = await reader.readuntil(b"\r\n\r\n")
                assert b"content-length: 1000000\r\n" in head
                assert await reader.readexactly(1_000_000) == body
                assert b"content-length: 0\r\n" in await reader.readuntil(b"\r\n\r\n")
            assert await reader.read() == b"", "idle"
            writer.close()
            await writer.wait_closed()
        server.pool.assert_balanced()

    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(main())


def test_a_response_to_a_client_that_resets(caplog: pytest.LogCaptureFixture) -> None:
    async def large(request: Request) -> Response:
        return Response(bytes(5_000_000))

    with serving(large) as live:
        for _ in range(20):
            client = live.client()
            client.send(get())
            client.socket.recv(10)
            client.reset()
        assert len(live.ask(get()).body) == 5_000_000
    # Whatever level an earlier test left the logger at: a reset is nothing to be warned of.
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_slow_reader_gets_all_of_it() -> None:
    async def large(request: Request) -> Response:
        return Response(bytes(3_000_000))

    with serving(large) as live, live.client() as client:
        # Smaller than the response, larger than a segment: with less, the kernel's own timers
        # rule how fast it goes.
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 131072)
        client.send(get("/", "Connection: close"))
        assert len(client.rest().partition(b"\r\n\r\n")[2]) == 3_000_000
