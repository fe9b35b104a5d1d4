"""Each historic design in small Python, with a mark where each step of its model begins.

Written as the code was, one statement a step; a compare-and-swap holds a lock. What the models say
of a step in symbols is done here for real: blocks hold bytes, a nil engine is None, and an empty
list has no first element.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from tests.model.parties import Block, BusyError, Here


class G0:
    """One buffer, an index; Read never frees."""

    parts = 1
    whole = True

    def __init__(self, number: int) -> None:
        self.number = number
        # As in Go, nothing keeps anybody from using a nil engine.
        self.engine: Any = None
        self.buffer: Block | None = None
        self.index = 0

    def acquire(self, here: Here) -> None:
        """A request takes it."""

    def append(self, here: Here, data: bytes) -> None:
        """The loop stores the body."""
        here("malloc")
        block = here.world.engine.malloc()
        here("buffer")
        self.buffer = block
        here("fill", k=block.number)
        block.data = data
        here("zero_index")
        self.index = 0

    def read(self, here: Here) -> bytes:
        """The next part, or nothing at the end."""
        here("buffer")
        block = self.buffer
        if block is None:
            return b""
        here("index")
        if self.index >= self.parts:
            return b""
        here("copy", k=block.number)
        data = here.world.engine.read(block)
        here("count")
        index = self.index
        here("add")
        self.index = index + 1
        return data

    def close(self, here: Here) -> None:
        """Free what is there."""
        here("buffer")
        block = self.buffer
        if block is None:
            return
        here("free", k=block.number)
        here.world.engine.free(block)
        here("nil")
        self.buffer = None
        here("zero_index")
        self.index = 0

    def let_go(self, here: Here) -> None:
        """What the framework's release does after its Close."""
        self.put(here)

    def put(self, here: Here) -> None:
        """Back into the pool."""
        here("put", o=self.number)
        here.world.put(self, here.r)


class G1(G0):
    """Close frees, zeroes and puts."""

    whole = False

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.left = 0
        self.buffers: tuple[Block, ...] = ()
        self.closed = False
        self.generation = 0
        self.leases = 0
        self.swapping = threading.Lock()

    def acquire(self, here: Here) -> None:
        self.store_engine(here)

    def store_engine(self, here: Here) -> None:
        """The request's engine."""
        here("store_engine")
        self.engine = here.world.engine

    def append(self, here: Here, data: bytes) -> None:
        here("count")
        left = self.left
        here("add")
        self.left = left + 1
        here("engine")
        malloc: Callable[[], Block] = self.engine.malloc
        here("malloc")
        block = malloc()
        here("fill", k=block.number)
        block.data = data
        here("list")
        buffers = self.buffers
        here("append")
        self.buffers = (*buffers, block)

    def read(self, here: Here) -> bytes:
        here("left")
        if self.left <= 0:
            return b""
        here("first")
        return self.take(here, self.buffers[0])

    def take(self, here: Here, block: Block) -> bytes:
        """Copy, free and pop the first buffer."""
        here("copy", k=block.number)
        data = here.world.engine.read(block)
        here("engine")
        free = self.engine.free
        here("free", k=block.number)
        free(block)
        here("list")
        _, *rest = self.buffers
        here("pop")
        self.buffers = tuple(rest)
        here("count")
        left = self.left
        here("take")
        self.left = left - 1
        return data

    def close(self, here: Here) -> None:
        self.finalise(here)

    def finalise(self, here: Here, part: str = "") -> None:
        """Free, zero, put."""
        self.free_all(here, part)
        self.zero_left(here, part)
        self.zero_buffers(here, part)
        self.zero_engine(here, part)
        here(f"{part}put", o=self.number)
        here.world.put(self, here.r)

    def free_all(self, here: Here, part: str = "") -> None:
        """Each buffer of the list as it was when the loop began."""
        here(f"{part}list")
        for block in self.buffers:
            here(f"{part}engine")
            free = self.engine.free
            here(f"{part}free", k=block.number)
            free(block)

    def zero_left(self, here: Here, part: str = "") -> None:
        """Nothing is left."""
        here(f"{part}zero_left")
        self.left = 0

    def zero_buffers(self, here: Here, part: str = "") -> None:
        """No buffers."""
        here(f"{part}zero_buffers")
        self.buffers = ()

    def zero_engine(self, here: Here, part: str = "") -> None:
        """No engine."""
        here(f"{part}zero_engine")
        self.engine = None

    def open(self, here: Here) -> None:
        """The flag is reset."""
        here("open")
        self.closed = False

    def let_go(self, here: Here) -> None:
        pass


class G2(G1):
    """A plain flag; only the framework puts."""

    def close(self, here: Here) -> None:
        here("closed")
        if self.closed:
            return
        here("store_closed")
        self.closed = True
        self.free_all(here)

    def let_go(self, here: Here) -> None:
        self.zero_left(here)
        self.zero_buffers(here)
        self.zero_engine(here)
        self.open(here)
        self.put(here)


class G4(G2):
    """Read looks at the flag, Close empties the list, acquire resets all."""

    def acquire(self, here: Here) -> None:
        self.zero_left(here)
        self.zero_buffers(here)
        self.store_engine(here)
        self.open(here)

    def read(self, here: Here) -> bytes:
        here("closed")
        if self.closed:
            return b""
        here("left")
        if self.left <= 0:
            return b""
        return self.first(here)

    def first(self, here: Here) -> bytes:
        """From the first buffer, if there is one."""
        here("first")
        first = self.buffers[:1]
        if not first:
            here("none")
            self.left = 0
            return b""
        return self.take(here, first[0])

    def close(self, here: Here) -> None:
        if self.begins_close(here):
            self.free_all(here)
            self.zero_buffers(here)
            self.zero_left(here)

    def begins_close(self, here: Here) -> bool:
        """Whether this Close is the one that closes."""
        here("closed")
        if self.closed:
            return False
        here("store_closed")
        self.closed = True
        return True


class F1(G1):
    """An atomic flag: who wins the swap frees, zeroes and puts."""

    def acquire(self, here: Here) -> None:
        self.open(here)
        self.store_engine(here)

    def close(self, here: Here) -> None:
        if self.swaps(here):
            self.finalise(here)

    def swaps(self, here: Here) -> bool:
        """One atomic step: whether it was open, and is closed now."""
        here("swap")
        with self.swapping:
            won, self.closed = not self.closed, True
        return won


class F1b(G4):
    """G4 with the swap."""

    def begins_close(self, here: Here) -> bool:
        here("swap")
        with self.swapping:
            won, self.closed = not self.closed, True
        return won


class F2(F1):
    """F1 that first compares the handle's generation."""

    def acquire(self, here: Here) -> None:
        here("load_generation")
        here.handle.stamp = self.generation
        here("next_generation")
        here.handle.stamp += 1
        self.generation = here.handle.stamp
        super().acquire(here)

    def read(self, here: Here) -> bytes:
        here("compare")
        return super().read(here) if self.generation == here.handle.stamp else b""

    def close(self, here: Here) -> None:
        here("compare")
        if self.generation == here.handle.stamp:
            super().close(here)


class F2w(F1):
    """Generation and flag in one word."""

    def acquire(self, here: Here) -> None:
        here("load_generation")
        here.handle.stamp = self.generation
        here("next_word")
        with self.swapping:
            here.handle.stamp += 1
            self.generation, self.closed = here.handle.stamp, False
        self.store_engine(here)

    def valid(self, here: Here) -> bool:
        """The handle is of this generation, and it is open."""
        return self.generation == here.handle.stamp and not self.closed

    def read(self, here: Here) -> bytes:
        here("compare")
        return super().read(here) if self.valid(here) else b""

    def swaps(self, here: Here) -> bool:
        here("swap")
        with self.swapping:
            won = self.valid(here)
            self.closed |= won
        return won


class F3(F2w):
    """F2w with an exclusive lease in the word; the last one out finalises."""

    most = 1

    def read(self, here: Here) -> bytes:
        here("lease")
        with self.swapping:
            if not self.valid(here):
                return b""
            if self.leases == self.most:
                raise BusyError
            self.leases += 1
        here("left")
        data = b""
        if self.left > 0:
            here("first")
            data = self.take(here, self.buffers[0])
        here("unlease")
        with self.swapping:
            self.leases -= 1
            last = self.closed and not self.leases
        if last:
            self.last_out(here)
        return data

    def last_out(self, here: Here) -> None:
        """The close that was put off."""
        self.finalise(here, "last.")

    def swaps(self, here: Here) -> bool:
        here("swap")
        with self.swapping:
            won = self.valid(here)
            self.closed |= won
            return won and not self.leases


class F3n(F3):
    """F3 whose lease is shared."""

    most = 9


class F3x(F3):
    """F3 whose last lease holder does nothing more."""

    def last_out(self, here: Here) -> None:
        pass


COUNTERPARTS: dict[str, type[G0]] = {
    "G0": G0, "G1": G1, "G2": G2, "G3": G2, "G4": G4, "F1": F1, "F1b": F1b, "F2": F2,
    "F2w": F2w, "F3n": F3n, "F3x": F3x, "F3": F3,
}  # fmt: skip
