"""The sending half of a connection: one write a response, one for many pipelined ones."""

import asyncio
from typing import Final

from nbio.exchange import Wire
from nbio.files import FilePart, send_by_kernel, send_by_reading
from nbio.http1 import Receiver
from nbio.hub import Hub

BATCH: Final = 65536
"""Responses to pipelined requests are held back up to this many bytes, to be one write."""


class Sending(asyncio.BufferedProtocol, Wire):
    """What `Connection` sends with. Its transport is set when the connection is made."""

    __slots__ = (
        "_batch_seen",
        "_hub",
        "_lingering",
        "_out",
        "_receiver",
        "_transport",
        "_waiters",
        "write_paused",
    )
    _transport: asyncio.Transport

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._receiver = Receiver(hub.config, hub.heads)
        # The last response is out: nothing more is sent, and what still arrives is thrown away
        # until the client closes.
        self._lingering = False
        self.write_paused = False
        # Responses held back because more requests have arrived already. A list only while there
        # are any, as the next one too: an idle connection has none.
        self._out: list[bytes] | None = None
        self._batch_seen = 0
        self._waiters: list[asyncio.Future[None]] | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return self._hub.loop

    def write(self, data: bytes) -> None:
        if self._lingering:
            return
        if self._receiver.pending or self._out:
            self._hold(data)
        else:
            self._transport.write(data)

    def _hold(self, data: bytes) -> None:
        """More requests have arrived already: their responses may go out in one write."""
        out = self._out
        if out is None:
            out = self._out = []
            self._batch_seen = 0
            self._hub.loop.call_soon(self._flush_batch)
        out.append(data)
        if len(data) > BATCH // 8:
            self._flush()

    def _flush_batch(self) -> None:
        """Wait for more as long as each turn of the loop brings more."""
        out = self._out
        if out is None:
            return
        if len(out) > self._batch_seen and sum(map(len, out)) < BATCH and self._receiver.pending:
            self._batch_seen = len(out)
            self._hub.loop.call_soon(self._flush_batch)
        else:
            self._flush()

    def _flush(self) -> None:
        out, self._out = self._out, None
        if out is not None:
            self._transport.write(b"".join(out))

    def drained(self) -> asyncio.Future[None]:
        waiter: asyncio.Future[None] = self._hub.loop.create_future()
        if not self.write_paused:
            waiter.set_result(None)
        elif self._waiters is None:
            self._waiters = [waiter]
        else:
            self._waiters.append(waiter)
        return waiter

    def _wake_writers(self) -> None:
        waiters, self._waiters = self._waiters, None
        for waiter in waiters or ():
            if not waiter.done():
                waiter.set_result(None)

    # Files.

    async def send_file(self, part: FilePart) -> bool:
        """Send the bytes of a file; return False when the client went before it had them."""
        self._flush()
        transport = self._transport
        sock = transport.get_extra_info("socket")
        if not self.may_send():
            return False
        try:
            if sock is None or transport.get_extra_info("sslcontext") is not None:
                return await send_by_reading(self, part)
            # Past everything that was written before: without a high-water mark, drained means
            # empty.
            transport.set_write_buffer_limits(high=0)
            await self.drained()
            if not self.may_send():
                return False
            transport.set_write_buffer_limits()
            try:
                return await send_by_kernel(self, sock.fileno(), part)
            finally:
                if self.write_paused and self.may_send():
                    self.resume_writing()
        except ConnectionError:
            transport.abort()
            return False

    def may_send(self) -> bool:
        return not self._lingering and not self._transport.is_closing()

    async def room(self, fd: int) -> None:
        if not self.write_paused:
            # To the clock this is a transport that is full, until all of the file is sent: each
            # time that there is a little room would else begin another period.
            self.pause_writing()
        self._hub.loop.add_writer(fd, self._wake_writers)
        try:
            await self.drained()
        finally:
            self._hub.loop.remove_writer(fd)
