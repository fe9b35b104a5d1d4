"""The workloads for granian's own interface."""

from typing import Any

from tests.bench.apps.payload import BIG, HELLO, TEXT

FIELDS = [("content-type", TEXT)]


async def hello(scope: Any, protocol: Any) -> None:
    """A GET of 13 bytes."""
    protocol.response_bytes(200, FIELDS, HELLO)


async def big(scope: Any, protocol: Any) -> None:
    """A GET of 16 MiB."""
    protocol.response_bytes(200, FIELDS, BIG)


async def read(scope: Any, protocol: Any) -> None:
    """Read the body in full."""
    protocol.response_str(200, FIELDS, str(len(await protocol())))


async def count(scope: Any, protocol: Any) -> None:
    """Count the body's bytes."""
    size = 0
    async for part in protocol:
        size += len(part)
    protocol.response_str(200, FIELDS, str(size))


async def echo(scope: Any, protocol: Any) -> None:
    """Send every WebSocket message back."""
    socket = await protocol.accept()
    while (message := await socket.receive()).kind:
        await socket.send_bytes(message.data)
