"""Blocks: fixed-size byte buffers, used again when nobody can look at them any more."""

import itertools
import threading
from collections import deque
from dataclasses import dataclass
from typing import Literal

from nbio.errors import NbioError, PoolExhausted

Safety = Literal["off", "simple", "debug"]

POISON = 0xDD
QUARANTINE = 32
"""How many freed blocks must follow before a block is used again in debug mode."""


@dataclass(frozen=True, slots=True)
class BlockStats:
    """A count of a pool's blocks.

    acquired = released + given_up + outstanding, always. `outstanding` is what was made and
    is neither idle nor gone, so a block given back twice shows as one too few. `idle` blocks
    are kept for reuse.
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
    out at once. `safety="debug"` poisons freed blocks and holds them back before reuse.

    Taking an idle block and returning one are single operations on a deque, which are atomic:
    so `put` never waits, and may run in a finalizer that interrupted this very pool. The lock
    is for making blocks and for counting, which no finalizer does.
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
        # Blocks are in exactly one of these places: idle, out, or gone. Out is what remains.
        self._made = 0
        self._given_up = 0
        self._dropped = 0
        # The gone ones that nobody has counted yet, True for one given up. Never longer than
        # the number of blocks made since it was last emptied, because making empties it.
        self._gone: deque[bool] = deque()
        # Only for the running total; `next` on it is atomic, and reading it is a `next` too.
        self._reused = itertools.count()
        self._looks = 0

    def get(self) -> bytearray:
        """Take a block. Its contents are arbitrary.

        Raises PoolExhausted when `max_blocks` are out.
        """
        if self._debug:
            return self._get_checked()
        try:
            block = self._idle.pop()
        except IndexError:
            return self._make()
        next(self._reused)
        return block

    def put(self, block: bytearray) -> None:
        """Give a block back, exactly once. Never waits.

        Raises ValueError for a bytearray that isn't a block of this pool.
        """
        try:
            # Only a real resize tells whether an export lives; the slack that `_make` left
            # behind the end makes this one move nothing.
            block.append(0)
            block.pop()
        except BufferError:
            self._gone.append(True)
            return
        if len(block) != self.block_size:
            raise ValueError(
                f"a bytearray of {len(block)} bytes isn't a block of this pool, "
                f"whose blocks have {self.block_size}"
            )
        if self._debug:
            self._poison_freed(block)
        # Two threads may both find the last place free; a block too many is no harm.
        if len(self._idle) < self.max_idle:
            self._idle.append(block)
        else:
            self._gone.append(False)

    def _make(self) -> bytearray:
        with self._lock:
            self._count_gone()
            # Called when none is idle, so all that are made and not gone are out.
            full = self._made - self._given_up - self._dropped >= self.max_blocks
            if not full:
                self._made += 1
        if full:
            raise PoolExhausted(
                f"all {self.max_blocks} blocks of {self.block_size} bytes are in use: "
                "read bodies faster, lower the number of connections, or raise max_blocks"
            )
        try:
            block = bytearray(self.block_size + 1)
            # Shortening by one keeps the allocation: the slack for the probe.
            del block[-1:]
        except BaseException:
            self._gone.append(False)
            raise
        return block

    def _count_gone(self) -> None:
        """The lock is held."""
        while self._gone:
            if self._gone.popleft():
                self._given_up += 1
            else:
                self._dropped += 1

    def stats(self) -> BlockStats:
        """Count the blocks."""
        with self._lock:
            self._count_gone()
            idle = len(self._idle)
            acquired = self._made + next(self._reused) - self._looks
            self._looks += 1
            given_up = self._given_up
            out = self._made - given_up - self._dropped - idle
        return BlockStats(acquired, acquired - given_up - out, given_up, out, idle)

    # Debug mode.

    def _poison_freed(self, block: bytearray) -> None:
        if any(other is block for other in tuple(self._idle)):
            raise NbioError("a block was given back twice: only its owner may, and only once")
        block[:] = self._poison

    def _get_checked(self) -> bytearray:
        """Reuse the block that was freed longest ago, and only once enough others followed."""
        with self._lock:
            block = self._idle.popleft() if len(self._idle) > QUARANTINE else None
            spent = self._made - self._given_up - self._dropped >= self.max_blocks
            if block is None and spent and self._idle:
                block = self._idle.popleft()
        if block is None:
            return self._make()
        next(self._reused)
        if block != self._poison:
            self._gone.append(True)
            raise NbioError("a freed block was written to: somebody kept a writable buffer of it")
        return block
