"""Synchronous iterables as response bodies: iterated in a worker thread, sent by the loop."""

from collections.abc import AsyncIterator, Iterable

from nbio.errors import ClientDisconnected
from nbio.outlet import Outlet, Piece
from nbio.workers import Workers


class Pump:
    """A synchronous iterable, and where its pieces go."""

    __slots__ = ("body", "outlet")

    def __init__(self, body: Iterable[Piece]) -> None:
        self.body = body
        self.outlet = Outlet()

    def run(self, _: None) -> None:
        """Iterate. In a worker's thread."""
        try:
            for piece in self.body:
                self.outlet.put(bytes(piece))
        finally:
            close = getattr(self.body, "close", None)
            if close is not None:
                close()


async def from_thread(body: Iterable[Piece], workers: Workers) -> AsyncIterator[bytes]:
    """The pieces of a synchronous iterable that runs in a worker thread; it is closed there."""
    pump = Pump(body)
    outlet = pump.outlet
    job = workers.run(pump.run, None, outlet.end)
    try:
        while (piece := await outlet.get()) is not None:
            yield piece
        await job
    finally:
        outlet.close(ClientDisconnected("the response was given up"))
