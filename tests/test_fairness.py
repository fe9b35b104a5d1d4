"""Nobody has the loop for himself: not a stream that never has to wait, nor its client."""

import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from nbio import Request, Response
from tests.live import get, serving

STREAM = 2000
"""Pieces that the kernel takes at once, without anybody reading them."""


@pytest.mark.parametrize("interface", ["asgi", "native"])
def test_a_stream_that_never_waits_lets_others_have_their_turn(interface: str) -> None:
    order: list[str] = []
    begun, asked = threading.Event(), threading.Event()

    def begin() -> None:
        """Hold the loop until the other request is in the kernel."""
        begun.set()
        assert asked.wait(20)

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        order.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if scope["path"] == "/stream":
            begin()
            for _ in range(STREAM):
                await send({"type": "http.response.body", "body": b"piece", "more_body": True})
            order.append("end")
        await send({"type": "http.response.body", "body": b""})

    async def pieces() -> AsyncIterator[bytes]:
        begin()
        for _ in range(STREAM):
            yield b"piece"
        order.append("end")

    async def native(request: Request) -> Response:
        order.append(request.path)
        return Response(pieces() if request.path == "/stream" else b"")

    app: Any = asgi if interface == "asgi" else native
    with serving(app, lifespan="off") as live, live.client() as client, live.client() as other:
        assert other.ask(get("/warm")).status == 200
        client.send(get("/stream", "Connection: close"))
        assert begun.wait(20)
        other.send(get("/other"))
        asked.set()
        assert other.answer().status == 200
        assert client.rest().count(b"piece") == STREAM
    assert order.index("/other") < order.index("end")
