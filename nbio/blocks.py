"""Blocks: fixed-size byte buffers, used again when nobody can look at them any more."""

import itertools
import threading
from collections import deque
from dataclasses import dataclass
from typing import Final, Literal

from nbio import counting
from nbio.errors import NbioError, PoolExhausted

Safety = Literal["off", "simple", "debug"]

SMALL: Final = 4096
"""A copy of so many bytes costs less than the view that would save it."""

COPY_SHARE: Final = 4
"""At most one part in this many of a block is worth copying to save the rest of it."""

POISON = 0xDD


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

    def __add__(self, other: "BlockStats") -> "BlockStats":
        """The count of two pools together."""
        return BlockStats(
            self.acquired + other.acquired,
            self.released + other.released,
            self.given_up + other.given_up,
            self.outstanding + other.outstanding,
            self.idle + other.idle,
        )


class BlockPool:
    """A thread-safe pool of `bytearray` blocks of `block_size` bytes each.

    A block whose bytes somebody can still see (a kept memoryview, a NumPy array) is never
    handed out again: it is given up to the garbage collector, and counted.

    `max_idle` blocks are kept for reuse, more go back to the allocator; `max_blocks` may be
    out at once. `safety="debug"` poisons freed blocks and holds them back before reuse.

    Taking an idle block and returning one are single operations on a deque, which are atomic:
    so `put` never waits, and may run in a finalizer that interrupted this very pool. The lock
    is for making blocks and for counting, which no finalizer does.

    A signal's handler may raise after any call into C. So the one operation that takes or
    returns a block is no call but an iteration or a `+=`: an interrupted `get` took nothing,
    an interrupted `put` may be called again.
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
        self._taking = iter(self._idle.pop, None)
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
            for block in self._taking:
                for _ in self._reused:
                    return block
        except IndexError:
            pass
        return self._make()

    def put(self, block: bytearray) -> None:
        """Give a block back, exactly once. Never waits.

        Raises ValueError for a bytearray that isn't a block of this pool.
        """
        try:
            # Only a real resize tells whether an export lives; the slack that `_make` left
            # behind the end makes this one move nothing.
            block += b"\0"
            del block[-1]
        except BufferError:
            gone = self._gone
            gone += (True,)
            return
        if len(block) != self.block_size:
            raise ValueError(
                f"a bytearray of {len(block)} bytes isn't a block of this pool, "
                f"whose blocks have {self.block_size}"
            )
        if self._debug:
            self._poison_freed(block)
        # Two threads may both find the last place free; a block too many is no harm.
        idle = self._idle
        if len(idle) < self.max_idle:
            idle += (block,)
        else:
            gone = self._gone
            gone += (False,)

    def _make(self) -> bytearray:
        counted = False
        try:
            with self._lock:
                self._count_gone()
                # Called when none is idle, so all that are made and not gone are out.
                gone = self._given_up, self._dropped
                if counting.may_make(self._made, *gone, self.max_blocks):
                    self._made += 1
                    counted = True
            if counted:
                block = bytearray(self.block_size + 1)
                # Shortening by one keeps the allocation: the slack for the probe.
                del block[-1:]
                return block
        except BaseException:
            if counted:
                self._gone += (False,)
            raise
        raise PoolExhausted(
            f"all {self.max_blocks} blocks of {self.block_size} bytes are in use: "
            "read bodies faster, lower the number of connections, or raise max_blocks"
        )

    def _count_gone(self) -> None:
        """The lock is held."""
        gone = self._gone
        while gone:
            if gone[0]:
                self._given_up += 1
            else:
                self._dropped += 1
            del gone[0]

    def stats(self) -> BlockStats:
        """Count the blocks."""
        with self._lock:
            self._count_gone()
            looks = self._looks
            self._looks += 1
            reused = next(self._reused) - looks
            gone = self._given_up, self._dropped
            return BlockStats(*counting.counts(self._made, reused, *gone, len(self._idle)))

    # Debug mode.

    def _poison_freed(self, block: bytearray) -> None:
        if any(other is block for other in tuple(self._idle)):
            raise NbioError("a block was given back twice: only its owner may, and only once")
        block[:] = self._poison

    def _get_checked(self) -> bytearray:
        """Reuse the block that was freed longest ago, and only once enough others followed."""
        with self._lock:
            self._count_gone()
            idle = self._idle
            gone = self._given_up, self._dropped
            rested = counting.is_rested(len(idle), self._made, *gone, self.max_blocks)
            block = idle[0] if rested else None
            if block is not None:
                del idle[0]
        if block is None:
            return self._make()
        for _ in self._reused:
            break
        if block != self._poison:
            self._gone += (True,)
            raise NbioError("a freed block was written to: somebody kept a writable buffer of it")
        return block
