"""A response's way from a worker thread to the loop, with a bound on what is under way.

The thread hands pieces over and sleeps while more than LIMIT bytes have not been sent; so a
slow client holds its own thread up, and neither the loop nor the memory. The loop's side is a
coroutine, which waits for pieces and for room on the connection in turns.
"""

import asyncio
import threading
from collections import deque
from typing import Final, NamedTuple, TypeAlias

from nbio.errors import caused
from nbio.files import FilePart
from nbio.responses import RawHeaders
from nbio.waiters import LoopWaiter, ThreadWaiter

Piece: TypeAlias = bytes | bytearray | memoryview

LIMIT: Final = 65536
"""So many bytes may be on their way before the thread has to wait."""


TURN: Final = 1 << 20
"""After so many bytes that were there at once, others get a turn of the loop."""


class Head(NamedTuple):
    """What a response starts with."""

    status: int
    headers: RawHeaders
    # The body's length; -1 while unknown.
    size: int


PLAIN: Final = Head(200, (), -1)


class Outlet:
    """One response under way. `put` and `finish` are the thread's, the rest is the loop's."""

    __slots__ = (
        "_closed",
        "_held",
        "_lock",
        "_over",
        "_pieces",
        "_reader",
        "_turn",
        "_writer",
        "finished",
        "head",
        "tail",
    )

    def __init__(self, head: Head = PLAIN) -> None:
        # Of the response; not of a stream within one.
        self.head = head
        self._lock = threading.Lock()
        self._pieces: deque[bytes] = deque()
        # Bytes in `_pieces`.
        self._held = 0
        # Bytes that `get` has returned without waiting.
        self._turn = 0
        self._reader: LoopWaiter | None = None
        self._writer: ThreadWaiter | None = None
        # Why the loop takes no more.
        self._closed: BaseException | None = None
        # Whether the thread puts no more.
        self._over = False
        # The last piece of the body, or a file that is the body; known once finished.
        self.tail: bytes | FilePart = b""
        self.finished = False

    # The thread's side.

    def put(self, piece: bytes) -> None:
        """Hand a piece over; return when there is room for another.

        Raises what the loop closed this with, most often ClientDisconnected.
        """
        writer: ThreadWaiter | None = None
        with self._lock:
            if self._closed is None:
                self._pieces.append(piece)
                self._held += len(piece)
                if self._held > LIMIT:
                    writer = self._writer = ThreadWaiter()
            reader, self._reader = self._reader, None
        if reader is not None:
            reader.wake()
        if writer is not None:
            writer.sleep(None)
        closed = self._closed
        if closed is not None:
            # A new one each time: an exception raised again collects tracebacks.
            raise caused(type(closed)(*closed.args), closed) from closed

    def finish(self, tail: bytes | FilePart = b"") -> None:
        """The body is complete with `tail`, which is sent although the thread may go on."""
        self.tail = tail
        self.finished = True
        self.end()

    # The loop's side.

    def end(self) -> None:
        """There are no more pieces, whether or not the response is complete. Any thread."""
        with self._lock:
            self._over = True
            reader, self._reader = self._reader, None
        if reader is not None:
            reader.wake()

    async def get(self) -> bytes | None:
        """Wait for a piece; None when there are no more."""
        while True:
            writer: ThreadWaiter | None = None
            reader: LoopWaiter | None = None
            piece: bytes | None = None
            with self._lock:
                if self._pieces:
                    piece = self._pieces.popleft()
                    self._held -= len(piece)
                    if self._held <= LIMIT:
                        writer, self._writer = self._writer, None
                elif self._over or self._closed is not None:
                    return None
                else:
                    reader = self._reader = LoopWaiter()
            if writer is not None:
                writer.wake()
            if reader is not None:
                self._turn = 0
                await reader.future
                continue
            if piece is not None:
                self._turn += len(piece)
            if self._turn > TURN:
                # A thread that is faster than the client isn't to have the loop for itself.
                self._turn = 0
                await asyncio.sleep(0)
            return piece

    def drop(self) -> None:
        """Nothing of it is needed any more."""
        if isinstance(self.tail, FilePart):
            self.tail.close()

    def close(self, why: BaseException) -> None:
        """Take no more: the thread's next `put`, or the one that sleeps, raises `why`."""
        with self._lock:
            if self._closed is None:
                self._closed = why
            self._pieces.clear()
            self._held = 0
            writer, self._writer = self._writer, None
            reader, self._reader = self._reader, None
        if writer is not None:
            writer.wake()
        if reader is not None:
            reader.wake()
