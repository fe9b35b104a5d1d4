"""ASGI applications in parts, and what tests of them share."""

from collections.abc import Awaitable, Callable
from typing import Any

from nbio.asgi import Receive, Scope, Send

Part = Callable[[Scope, Receive, Send], Awaitable[None]]


def http(part: Part) -> Part:
    """An application without lifespan."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http", "no lifespan here"
        await part(scope, receive, send)

    return app


async def answer(send: Send, body: bytes = b"", status: int = 200, *headers: Any) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})


async def whole_body(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        assert message["type"] == "http.request"
        parts.append(message["body"])
        if not message["more_body"]:
            return b"".join(parts)


@http
async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, await whole_body(receive))


@http
async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, b"Hello, world!", 200, (b"content-type", b"text/plain"))
