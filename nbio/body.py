"""BodyReader: a request's body, read by the application and fed by the server."""

import asyncio
import time
from types import TracebackType
from typing import Protocol, Self

from nbio import _lifecycle
from nbio._lifecycle import BUSY, COPY, EMPTIED, EMPTY, ENDED, FAILED, OK, OPEN, PAUSE, READY
from nbio.blocks import COPY_SHARE, SMALL
from nbio.errors import (
    BlockingCallError,
    BodyClosedError,
    BodyError,
    ConcurrentReadError,
    IncompleteBodyError,
)
from nbio.handle import Bytes, Handle
from nbio.traces import describe
from nbio.views import BodyViews
from nbio.waiters import LoopWaiter, ThreadWaiter


class Buffer(Protocol):
    """What `readinto` writes to: anything that exports writable bytes."""

    def __buffer__(self, flags: int, /) -> memoryview: ...


class BodyReader(Handle):
    """The body of one request.

    Made by `BodyPool.acquire`. The application reads from it, in any one coroutine or thread
    at a time; the server feeds it. Closing is allowed to anyone, at any time, any number of
    times. A body is closed by the framework when its request is over, unless detached.

    A finalizer (`__del__`, a weakref callback, the `finally` of a collected coroutine) may
    close or release a body and end its views, and do nothing else with it.
    """

    __slots__ = ()

    # The application's side.

    async def read(self, n: int = -1) -> bytes:
        """Read up to `n` bytes, at least one; all of the rest for `n` < 0; b"" at the end.

        Raises BodyClosedError after a close, ConcurrentReadError beside another reader, and
        the error the body failed with (BodyDisconnected, BodyTooLarge, BodyProtocolError)
        once it was cut off.
        """
        if n == 0:
            return b""
        if n < 0:
            return await self._read_rest()
        code = self._lease(COPY)
        if code != OK and not await self._await_lease(code, COPY):
            return b""
        return self._copy(n)

    async def _read_rest(self) -> bytes:
        parts: list[bytes] = []
        while True:
            code = self._lease(COPY)
            if code != OK and not await self._await_lease(code, COPY):
                break
            parts.append(self._copy(-1))
            # Cheaper than a lease that is refused; and when a close came between, it is.
            if self.at_eof:
                break
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def readexactly(self, n: int) -> bytes:
        """Read exactly `n` bytes.

        Raises IncompleteBodyError, with what there was as its `partial`, when the body ends
        before; and all that `read` raises.
        """
        out = bytearray(n)
        got = 0
        with memoryview(out) as view:
            while got < n:
                count = await self.readinto(view[got:])
                if not count:
                    break
                got += count
        if got < n:
            error = IncompleteBodyError(
                f"the body of {self._request!r} ended {n - got} bytes before the {n} asked for",
                request=self._request,
            )
            error.partial = bytes(out[:got])
            raise error
        return bytes(out)

    async def readinto(self, buffer: bytearray | memoryview | Buffer) -> int:
        """Read into a writable buffer; return how many bytes, 0 at the end.

        Raises what `read` raises, and TypeError for a buffer that is read-only.
        """
        with memoryview(buffer) as whole, whole.cast("B") as target:
            if not target.nbytes:
                return 0
            if target.readonly:
                raise TypeError("readinto needs a writable buffer, this one is read-only")
            code = self._lease(COPY)
            if code != OK and not await self._await_lease(code, COPY):
                return 0
            return self._copy_into(target)

    def views(self) -> BodyViews:
        """Iterate over the body without copying: `async for view in body.views()`.

        Each view is a read-only memoryview of one block's unread bytes, valid until the next
        step; keep `bytes(view)`, not the view. See BodyViews.
        """
        return BodyViews(self)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        code = self._lease(COPY)
        if code != OK and not await self._await_lease(code, COPY):
            raise StopAsyncIteration
        return self._copy(-1)

    def read_blocking(self, n: int = -1, timeout: float | None = None) -> bytes:
        """As `read`, for worker threads; `timeout` in seconds is for the whole call.

        Raises what `read` raises; TimeoutError, after which what had been read of a read to
        the end is lost; and BlockingCallError on a thread that runs an event loop, unless the
        whole body is here.
        """
        if asyncio._get_running_loop() is not None and not self._slot.ended:
            raise BlockingCallError(
                f"read_blocking of the body of {self._request!r} would stop the event loop "
                "that runs in this thread: use `await body.read()`"
            )
        if n == 0:
            return b""
        deadline = None if timeout is None else time.monotonic() + timeout
        parts: list[bytes] = []
        while self._block_for_lease(COPY, deadline):
            part = self._copy(n)
            if n > 0:
                return part
            parts.append(part)
        return b"".join(parts)

    def readinto_blocking(self, buffer: bytearray | memoryview | Buffer) -> int:
        """As `readinto`, for worker threads, whatever loop they run. Raises what it raises."""
        with memoryview(buffer) as whole, whole.cast("B") as target:
            if not target.nbytes or not self._block_for_lease(COPY, None):
                return 0
            return self._copy_into(target)

    def close(self) -> None:
        """Close the body; bytes still to come are dropped. Any thread, any time; never raises."""
        self._shut(_lifecycle.close, "handler")

    async def aclose(self) -> None:
        """As `close`. Contains no await, so a cancellation can't keep it from happening."""
        self._shut(_lifecycle.close, "handler")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def detach(self) -> Self:
        """Keep the body past its request; whoever detaches it must close it.

        Raises BodyClosedError when it is closed already.
        """
        code = self._detach()
        if code != OK:
            raise self._refusal(code, "detach")
        return self

    @property
    def request(self) -> str:
        """The label the body was acquired under, e.g. "POST /upload"."""
        return self._request

    @property
    def closed(self) -> bool:
        """Whether somebody closed it, or its request is over."""
        slot = self._slot
        # In this order: a generation doesn't come back, so the state read before it is ours.
        state = slot.state
        return slot.generation != self.generation or state != OPEN

    @property
    def at_eof(self) -> bool:
        """Whether all of it was read. False once closed."""
        slot = self._slot
        at_end = slot.ended and not slot.held
        return slot.generation == self.generation and at_end

    @property
    def detached(self) -> bool:
        """Whether the handler keeps it past its request. False once closed."""
        slot = self._slot
        detached = slot.detached
        return slot.generation == self.generation and detached

    # The framework's side: called by the server, feed to fail on the loop's thread only.

    def feed(self, data: Bytes) -> bool:
        """Copy received bytes into the body; return whether to pause reading the socket.

        The last block is filled first. Bytes for a closed body are dropped, and counted in
        `dropped`. Raises PoolExhausted when no block is to be had; then fail the body.
        """
        size = len(data)
        done = 0
        if self._slot.held and size:
            done = self._feed_tail(data, size)
            if done < OK:
                self.dropped += size
                return False
        if done == size:
            return self.paused
        pool = self._pool.blocks
        room = pool.block_size
        code = OK
        while done < size:
            part = data if size <= room and not done else data[done : done + room]
            count, received = len(part), self.received
            block = pool.get()
            try:
                # Before anyone can see it. To bytearray[:] bytes would be copied twice.
                memoryview(block)[:count] = part
                code = self._feed_block(block, count)
            except BaseException:
                if self.received == received:  # interrupted before it was handed over
                    pool.put(block)
                raise
            if code < OK:
                pool.put(block)
                self.dropped += size - done
                return False
            done += count
        return code == PAUSE

    def feed_block(self, block: bytearray, n: int) -> tuple[bytearray | None, bool]:
        """Feed a block whose first `n` bytes the kernel filled; return (block, pause).

        A few bytes are copied into the last block where they fit, and the block stays the
        caller's, so that small segments don't pin a block each; so it does when the body is
        closed and the bytes are dropped. Otherwise it is handed over, and None returned.
        """
        slot = self._slot
        if n * COPY_SHARE <= len(block) and slot.held:
            with memoryview(block) as whole, whole[:n] as data:
                done = self._feed_tail(data, n) if n <= self._room() else 0
            if done < 0:
                self.dropped += n
                return block, False
            if done:
                return block, self.paused
        if not n:
            return block, self.paused
        code = self._feed_block(block, n)
        if code < OK:
            self.dropped += n
            return block, False
        return None, code == PAUSE

    def _room(self) -> int:
        slot = self._slot
        # A reader in a thread may take the last one at any moment; this is but a guess.
        for block, end in zip(slot.blocks[-1:], slot.ends[-1:], strict=False):
            return len(block) - end
        return 0

    def release(self) -> None:
        """The request is over: take the body back unless it is detached.

        Idempotent, from any thread, never raises. Revokes a views() iterator's lease.
        """
        self._shut(_lifecycle.release, "framework")
        if not self._pool._pending.empty():
            self._pool.drain()

    # Leases.

    async def _await_lease(self, code: int, kind: int) -> bool:
        """After a refused lease: wait for it. False at the end of the body."""
        while code != OK:
            if code == EMPTY:
                code = await self._sleep(kind)
            elif code == BUSY and self._pool.drain():
                # A views() iterator that was dropped gives its lease back in the queue.
                code = self._lease(kind)
            elif code == ENDED:
                return False
            else:
                raise self._refusal(code, "read")
        return True

    async def _sleep(self, kind: int) -> int:
        """Wait until there may be something; return what a lease then comes to."""
        waiter = LoopWaiter()
        code = self._wait(waiter)
        if code == OK:
            try:
                await waiter.future
            except BaseException:
                self._give_up_waiting()
                raise
            code = self._wake(kind)
        return self._lease(kind) if code in (READY, EMPTIED) else code

    def _block_for_lease(self, kind: int, deadline: float | None) -> bool:
        """Take the lease, waiting in this thread. False at the end of the body."""
        code = self._lease(kind)
        while code != OK:
            if code == EMPTY:
                code = self._sleep_blocking(kind, deadline)
            elif code == BUSY and self._pool.drain():
                code = self._lease(kind)
            elif code == ENDED:
                return False
            else:
                raise self._refusal(code, "read")
        return True

    def _sleep_blocking(self, kind: int, deadline: float | None) -> int:
        waiter = ThreadWaiter()
        code = self._wait(waiter)
        if code == OK:
            try:
                timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
                woken = waiter.sleep(timeout)
            except BaseException:
                self._give_up_waiting()
                raise
            if not woken:
                self._give_up_waiting()
                raise TimeoutError(f"no more of the body of {self._request!r} came in time")
            code = self._wake(kind)
        return self._lease(kind) if code in (READY, EMPTIED) else code

    def _copy(self, n: int) -> bytes:
        """Take up to `n` bytes of the first block, all of them for `n` < 0. The lease is out."""
        taken = 0
        try:
            slot = self._slot
            block, start, end = slot.blocks[0], slot.start, slot.ends[0]
            if 0 < n < end - start:
                end = start + n
            data = bytes(block[start:end] if end - start <= SMALL else memoryview(block)[start:end])
            taken = end - start
        finally:
            self._unlease(taken)
        return data

    def _copy_into(self, target: memoryview) -> int:
        """Copy bytes of the first block into `target`. The lease is out."""
        taken = 0
        try:
            slot = self._slot
            start = slot.start
            size = min(target.nbytes, slot.ends[0] - start)
            with memoryview(slot.blocks[0]) as view:
                target[:size] = view[start : start + size]
            taken = size
        finally:
            self._unlease(taken)
        return taken

    def _refusal(self, code: int, event: str) -> BodyError:
        """The error for a refused event."""
        name = f"the body of {self._request!r}"
        if code == FAILED and self._error is not None:
            return self._error.fresh()
        if code == BUSY:
            return ConcurrentReadError(
                f"{name} refused {event}: another reader is at work on it (a read that waits, "
                "or a views() iterator between its steps); a body has one reader at a time: "
                "finish that read, or aclose() the iterator, first",
                request=self._request,
            )
        by = self._closed_by or "somebody"
        where = f"; {describe(self._closed_at, what='closed')}" if self._closed_at else ""
        error = BodyClosedError(
            f"{name} refused {event}: it was closed by the {by}; read it before it is closed, "
            f"or detach() it to keep it past its request{where}",
            request=self._request,
        )
        error.closed_by = self._closed_by
        return error
