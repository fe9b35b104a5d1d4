"""A connection's surroundings without kernel, socket or time: a loop, a wire, a handler on strings.

Everything happens on one thread, when it is asked for: `settle` runs the loop until there is
nothing left to do at this moment, `elapse` lets time pass.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import Context
from typing import Final, TypeVarTuple, Unpack

from nbio.body import BodyReader
from nbio.native import Request, Response
from nbio.protocol import Connection

Ts = TypeVarTuple("Ts")
TURN: Final = 0.5
"""Seconds at once; the hub looks at its clock as often."""


class Loop(asyncio.SelectorEventLoop):
    """A loop whose clock is set by hand."""

    def __init__(self) -> None:
        self.clock = 1000.0
        self.asked = 0
        super().__init__()

    def time(self) -> float:
        return self.clock

    def call_soon(
        self,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.Handle:
        self.asked += 1
        return super().call_soon(callback, *args, context=context)

    def call_soon_threadsafe(
        self,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.Handle:
        self.asked += 1
        return super().call_soon_threadsafe(callback, *args, context=context)

    def settle(self) -> None:
        """Do all that there is to do now, and what comes of it."""
        while True:
            self.asked = 0
            self.stop()
            self.run_forever()
            if not self.asked:
                return

    def elapse(self, seconds: float) -> None:
        """Let time pass."""
        end = self.clock + seconds
        while self.clock < end:
            self.clock = min(end, self.clock + TURN)
            self.settle()


class Wire(asyncio.Transport):
    """A connection's transport; strict, as the machines are the loop and the kernel to it.

    `out` is what was written, also what the client hasn't read (`unsent` bytes of it); `late` is
    how much was taken when only the client's end was waited for.
    """

    FULL: Final = 64

    def __init__(self, loop: Loop, protocol: Connection) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.loop, self.protocol = loop, protocol
        self.kernel = b""
        self.out = b""
        self.unsent = self.late = 0
        self.stalled = self.full = False
        self.paused = self.halved = self.closing = self.aborted = self.lost = False
        self.ending = self.ended = False
        self.finished = False
        """It was closed, in whole or in half, before anything else happened to it."""

    # The protocol's side.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.halved, "written behind the end"
        assert not self.closing, "written to a transport that is closing"
        self.out += bytes(data)
        if self.stalled:
            self.unsent += len(data)
            if self.unsent > self.FULL and not self.full:
                self.full = True
                self.protocol.pause_writing()

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        assert not self.halved, "ended twice"
        self.halved = True
        self.finished = not self.lost

    def pause_reading(self) -> None:
        assert not self.paused, "paused twice"
        self.paused = True

    def resume_reading(self) -> None:
        assert self.paused, "resumed, and not paused"
        self.paused = False

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True
        self.finished = not self.lost
        if not self.unsent:
            self._lose()

    def abort(self) -> None:
        self.closing = self.aborted = True
        self._lose()

    def _lose(self) -> None:
        if not self.lost:
            self.lost = True
            self.loop.call_soon(self.protocol.connection_lost, None)

    # The client's and the loop's side.

    def take(self, size: int) -> bytes:
        """Let the protocol receive at most `size` bytes; what it was, b"" when it won't."""
        if not self.kernel or self.paused or self.closing or size < 1:
            return b""
        with memoryview(self.protocol.get_buffer(size)) as buffer:
            data = self.kernel[: min(size, len(buffer))]
            buffer[: len(data)] = data
        self.kernel = self.kernel[len(data) :]
        self.late += len(data) if self.halved else 0
        self.protocol.buffer_updated(len(data))
        return data

    def end(self) -> bool:
        """Tell the protocol of the client's end, if it is due."""
        if not self.ending or self.ended or self.kernel or self.paused or self.closing:
            return False
        self.ended = True
        if not self.protocol.eof_received():
            self.close()
        return True

    def flow(self) -> None:
        """The client reads again."""
        self.stalled, self.unsent = False, 0
        if self.full:
            self.full = False
            if not self.closing:
                self.protocol.resume_writing()
        if self.closing:
            self._lose()


Order = Callable[[BodyReader], Awaitable[object]]


class Call:
    """A handler that does what it is told, one thing at a time."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.target = request.raw_path
        self._next: asyncio.Future[Order | Response | bytes | Exception | None] | None = None
        self.streaming = False
        self.done: object = None
        """What the last order came to."""

    @property
    def idle(self) -> bool:
        """It waits for an order."""
        return self._next is not None and not self._next.done()

    def tell(self, order: Order | Response | bytes | Exception | None) -> None:
        """Give it an order: something to do with its body, a response, a piece of one, its end."""
        assert self._next is not None
        self._next.set_result(order)

    async def play(self) -> Response:
        """The handler."""
        while True:
            order = await self._order()
            if isinstance(order, Response):
                return order
            if order is None:
                self.streaming = True
                return Response(self._stream())
            await self._obey(order)

    async def _stream(self) -> AsyncIterator[bytes]:
        while True:
            order = await self._order()
            if order is None:
                return
            if isinstance(order, bytes):
                yield order
            else:
                await self._obey(order)

    async def _order(self) -> Order | Response | bytes | Exception | None:
        self._next = asyncio.get_running_loop().create_future()
        return await self._next

    async def _obey(self, order: Order | Response | bytes | Exception | None) -> None:
        if isinstance(order, Exception):
            raise order
        assert callable(order)
        self.done = await outcome(order, self.request.body)


async def outcome(order: Order, body: BodyReader) -> object:
    """What an order comes to, be it an error."""
    try:
        return await order(body)
    except Exception as error:
        return error
