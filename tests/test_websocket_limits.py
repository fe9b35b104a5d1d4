"""WebSockets under load, in silence, and at the end of the server."""

import asyncio
import builtins
import itertools
import logging
import socket
import threading
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Opcode

from nbio.asgi import Receive, Scope, Send
from nbio.websocket_parts import QUEUED
from tests.live import TIMEOUT, Live, source_only
from tests.test_websocket import Told, accept, dialled, echo, ends, frame, handshake, sockets


def only_connection(live: Live) -> Any:
    """The server's end, once the loop has done what it was doing."""
    live.run(asyncio.sleep(0))
    hub: Any = live.server._hub
    [connection] = hub.connections
    return connection


def fill(client: socket.socket, size: int) -> tuple[int, bytes]:
    """Send frames until there is no room; return how many went, and the rest of the next."""
    # By hand: a client's library would wait for room in its own way.
    for number in itertools.count():
        data = frame(Opcode.BINARY, bytes([number % 256]) * size)
        try:
            while data:
                data = data[client.send(data) :]
        except TimeoutError:
            return number, data
    raise AssertionError


@pytest.mark.parametrize("size", [100, 20_000])
def test_an_application_that_does_not_receive_holds_its_client_up(size: int) -> None:
    go = threading.Event()
    told = Told()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await asyncio.to_thread(go.wait)
        count = 0
        while (message := await receive())["type"] == "websocket.receive":
            assert message["bytes"] == bytes([count % 256]) * size
            count += 1
        told(count)

    with sockets(app, ws_max_queue=8) as live, live.client() as client:
        handshake(client)
        client.socket.settimeout(0.5)
        sent, data = fill(client.socket, size)
        held = only_connection(live)
        assert len(held._messages) <= 8 + 4096 // size
        assert held._queued < QUEUED + size + 4096
        assert len(held._unfed) <= 262144
        go.set()
        client.socket.settimeout(TIMEOUT)
        while data:
            data = data[client.socket.send(data) :]
        client.send(frame(Opcode.CLOSE, b"\x03\xe8"))
        assert client.rest() == b"\x88\x02\x03\xe8"
        assert told.next() == sent + 1


def test_a_client_that_does_not_read_holds_the_application_up() -> None:
    sent = [0]
    told = Told()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        try:
            while True:
                await send({"type": "websocket.send", "bytes": bytes(100_000)})
                sent[0] += 1
        finally:
            told("over")

    with sockets(app) as live, live.client() as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        handshake(client)
        before = -1
        while before != sent[0]:
            before = sent[0]
            assert before < 200, "no more than the kernel's buffers and ours"
            for _ in range(20):
                live.run(asyncio.sleep(0))
        client.reset()
        assert told.next() == "over"


def test_silence_is_pinged_and_no_answer_is_the_end() -> None:
    told = Told()
    options = {"ws_ping_interval": 0.05, "ws_ping_timeout": 0.1}
    with sockets(echo(told), **options) as live:
        # One that answers, as the library does by itself, stays.
        with dialled(live, ping_interval=None) as lively, live.client() as silent:
            handshake(silent)
            raw = silent.rest()
            assert raw.startswith(b"\x89\x00")
            assert raw.endswith(b"\x03\xf3keep-alive ping timed out")
            assert told.next()["code"] == 1011
            lively.send("here")
            assert lively.recv(TIMEOUT) == "here"
        assert told.next()["code"] == 1000


def test_no_pings_where_none_are_wanted() -> None:
    with sockets(echo(Told()), ws_ping_interval=0) as live, live.client() as client:
        handshake(client)
        assert only_connection(live).deadline == float("inf")


def test_a_shutdown_says_1001() -> None:
    told = Told()
    with sockets(echo(told)) as live, dialled(live) as client:
        stopping = asyncio.run_coroutine_threadsafe(live.server.stop(), live.loop)
        assert ends(client)[0] == 1001
        assert told.next() == {
            "type": "websocket.disconnect",
            "code": 1001,
            "reason": "the server is shutting down",
        }
        stopping.result(TIMEOUT)


def test_a_shutdown_does_not_wait_for_ever() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await asyncio.Event().wait()

    with sockets(app, shutdown_timeout=0.2) as live, live.client() as client:
        handshake(client)
        live.run(live.server.stop())
        assert client.rest()[2:4] == b"\x03\xe9"


@source_only
def test_without_the_package_there_is_a_clear_answer(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = builtins.__import__

    def missing(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "nbio.websocket_frames":
            raise ImportError(name)
        return real(name, *arguments, **options)

    with sockets(echo(Told())) as live:
        monkeypatch.setattr(builtins, "__import__", missing)
        with (
            caplog.at_level(logging.WARNING, logger="nbio"),
            pytest.raises(InvalidStatus) as caught,
            dialled(live),
        ):
            pass
        monkeypatch.undo()
    assert caught.value.response.status_code == 501
    assert "nbio[websockets]" in caplog.text


def test_many_at_once() -> None:
    told = Told()
    with sockets(echo(told)) as live:
        clients = [dialled(live) for _ in range(20)]
        opened = [client.__enter__() for client in clients]
        for number, client in enumerate(opened):
            client.send(str(number))
        for number, client in enumerate(opened):
            assert client.recv(TIMEOUT) == str(number)
        for context in clients:
            context.__exit__(None, None, None)
        assert [told.next()["code"] for _ in clients] == [1000] * 20
        with pytest.raises(ConnectionClosed):
            opened[0].send("late")


def test_an_accepted_handshake_is_a_request_that_was_answered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told = Told()
    with (
        caplog.at_level(logging.INFO, logger="nbio.access"),
        sockets(echo(told), access_log=True) as live,
    ):
        with dialled(live, "/socket") as client:
            client.send("hello")
            assert client.recv(TIMEOUT) == "hello"
        told.next()
    lines = [record.getMessage() for record in caplog.records if "/socket" in record.getMessage()]
    assert len(lines) == 1
    assert " 101 " in lines[0]
