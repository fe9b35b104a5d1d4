"""Blocks: fixed-size byte buffers, used again when nobody can look at them any more."""

import threading
from collections import deque
from dataclasses import dataclass
from typing import Literal

from nbio.errors import NbioError, PoolExhausted
from nbio.sections import section

Safety = Literal["off", "simple", "debug"]

POISON = 0xDD
QUARANTINE = 32
"""How many freed blocks must follow before a block is used again in debug mode."""


@dataclass(frozen=True, slots=True)
class BlockStats:
    """A consistent count of a pool's blocks.

    acquired = released + given_up + outstanding, always. `idle` blocks are kept for reuse.
    """

    acquired: int
    released: int
    given_up: int
    outstanding: int
    idle: int


class BlockPool:
    """A thread-safe pool of `bytearray` blocks of `block_size` bytes each.

    A block whose bytes somebody can still see (a kept memoryview, a NumPy array) is never
    handed out again: it is given up to the garbage collector, and counted.

    `max_idle` blocks are kept for reuse, more go back to the allocator; `max_blocks` may be
    out at once. `put` never waits: it may run in a finalizer that interrupted this very pool.
    """

    def __init__(
        self,
        block_size: int = 65536,
        max_idle: int = 256,
        max_blocks: int = 16384,
        *,
        safety: Safety = "simple",
    ) -> None:
        if block_size < 1 or max_idle < 0 or max_blocks < 1:
            raise ValueError(
                f"a block pool needs block_size >= 1, max_idle >= 0, max_blocks >= 1, "
                f"not {block_size}, {max_idle}, {max_blocks}"
            )
        self.block_size = block_size
        self.max_idle = max_idle
        self.max_blocks = max_blocks
        self.safety: Safety = safety
        self._debug = safety == "debug"
        self._poison = bytes([POISON]) * block_size if self._debug else b""
        self._lock = threading.Lock()
        self._idle: deque[bytearray] = deque()
        # Returns that found the lock taken, None for one that was given up. Appending to a
        # deque is atomic; whoever next holds the lock counts them.
        self._late: deque[bytearray | None] = deque()
        self._acquired = 0
        self._released = 0
        self._given_up = 0

    @section
    def get(self) -> bytearray:
        """Take a block. Its contents are arbitrary.

        Raises PoolExhausted when `max_blocks` are out.
        """
        surplus: list[bytearray] = []
        block: bytearray | None = None
        with self._lock:
            if self._late:
                self._count_late(surplus)
            out = self._acquired - self._released - self._given_up
            if out < self.max_blocks:
                self._acquired += 1
                if self._idle and not self._debug:
                    block = self._idle.pop()
                elif len(self._idle) > QUARANTINE:
                    block = self._idle.popleft()
        if out >= self.max_blocks:
            raise PoolExhausted(
                f"all {self.max_blocks} blocks of {self.block_size} bytes are in use: "
                "read bodies faster, lower the number of connections, or raise max_blocks"
            )
        if block is None:
            return self._new()
        if self._debug and block != self._poison:
            raise NbioError("a freed block was written to: somebody kept a writable buffer of it")
        return block

    def put(self, block: bytearray) -> None:
        """Give a block back. Never waits, and raises only for what isn't a block of this pool."""
        if len(block) != self.block_size:
            raise ValueError(
                f"a bytearray of {len(block)} bytes isn't a block of this pool, "
                f"whose blocks have {self.block_size}"
            )
        try:
            # Only a real resize tells whether an export lives; the slack that `_new` left
            # behind the end makes this one move nothing.
            block.append(0)
            block.pop()
        except BufferError:
            self._return(None)
        else:
            if self._debug:
                block[:] = self._poison
            self._return(block)

    @section
    def _return(self, block: bytearray | None) -> None:
        """Count a block that came back, None for one given up, and keep it if there is room."""
        if not self._lock.acquire(False):
            self._late.append(block)
            return
        try:
            if block is None:
                self._given_up += 1
            else:
                self._released += 1
                if len(self._idle) < self.max_idle:
                    self._idle.append(block)
        finally:
            self._lock.release()

    def _count_late(self, surplus: list[bytearray]) -> None:
        """Count what came back while the lock was taken. The lock is held.

        Blocks beyond `max_idle` go to the caller, who drops them after the lock.
        """
        while self._late:
            block = self._late.popleft()
            if block is None:
                self._given_up += 1
                continue
            self._released += 1
            kept = self._idle if len(self._idle) < self.max_idle else surplus
            kept.append(block)

    def _new(self) -> bytearray:
        try:
            block = bytearray(self.block_size + 1)
            # Shortening by one keeps the allocation: the slack for the probe.
            del block[-1:]
        except BaseException:
            self._return(None)
            raise
        return block

    @section
    def stats(self) -> BlockStats:
        """Count blocks, all at one moment."""
        surplus: list[bytearray] = []
        with self._lock:
            self._count_late(surplus)
            out = self._acquired - self._released - self._given_up
            return BlockStats(self._acquired, self._released, self._given_up, out, len(self._idle))
