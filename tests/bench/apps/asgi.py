"""The workloads as ASGI applications; every ASGI server runs these same lines."""

from typing import Any

from tests.bench.apps.payload import BIG, HELLO, TEXT

Fields = list[tuple[bytes, bytes]]


def fields(size: int) -> Fields:
    """What an application sends of its own accord."""
    return [(b"content-type", TEXT.encode()), (b"content-length", str(size).encode())]


HELLO_FIELDS = fields(len(HELLO))
BIG_FIELDS = fields(len(BIG))


async def lifespan(receive: Any, send: Any) -> None:
    """Start and stop, with nothing to do."""
    while (await receive())["type"] == "lifespan.startup":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})


async def answer(send: Any, body: bytes, headers: Fields) -> None:
    """Send a whole response."""
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """A GET of 13 bytes."""
    if scope["type"] == "lifespan":
        return await lifespan(receive, send)
    return await answer(send, HELLO, HELLO_FIELDS)


async def big(scope: Any, receive: Any, send: Any) -> None:
    """A GET of 16 MiB."""
    if scope["type"] == "lifespan":
        return await lifespan(receive, send)
    return await answer(send, BIG, BIG_FIELDS)


async def read(scope: Any, receive: Any, send: Any) -> None:
    """Read the body in full, as one bytes object."""
    if scope["type"] == "lifespan":
        return await lifespan(receive, send)
    parts = []
    more = True
    while more:
        message = await receive()
        parts.append(message["body"])
        more = message.get("more_body", False)
    size = str(len(b"".join(parts))).encode()
    return await answer(send, size, fields(len(size)))


async def count(scope: Any, receive: Any, send: Any) -> None:
    """Count the body's bytes."""
    if scope["type"] == "lifespan":
        return await lifespan(receive, send)
    total = 0
    more = True
    while more:
        message = await receive()
        total += len(message["body"])
        more = message.get("more_body", False)
    size = str(total).encode()
    return await answer(send, size, fields(len(size)))


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Send every WebSocket message back."""
    if scope["type"] == "lifespan":
        return await lifespan(receive, send)
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "bytes": message["bytes"]})
    return None
