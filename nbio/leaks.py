"""How a body that nobody gave back is found, mended, and reported."""

import asyncio
import warnings
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

from nbio import _lifecycle
from nbio._lifecycle import CLOSING, RECYCLED
from nbio.sections import section
from nbio.traces import Trace, describe
from nbio.waiters import post

if TYPE_CHECKING:
    from nbio.pool import BodyPool, Slot

Feeder: TypeAlias = tuple[asyncio.AbstractEventLoop, Callable[[], None]]
"""Whom to tell, and how, that a paused body may be fed again."""


class Guard:
    """What notices that a handle died with its slot: the handle holds the only reference.

    A guard belongs to its slot and changes hands with it: to the handle at the acquire, back
    to the slot when that is recycled. So it dies only with a handle that never gave its slot
    back, and a body that was closed or released has no finalizer to run at all, where a
    `__del__` of the handle's own would cost every request a call.
    """

    __slots__ = ("_pool", "_slot", "armed", "feeder", "generation")

    def __init__(self, pool: "BodyPool", slot: "Slot") -> None:
        self._pool: Final = pool
        self._slot: Final = slot
        # False while the slot has it: a slot dropped by its pool is no leak.
        self.armed = False
        self.generation = slot.generation
        self.feeder: Feeder | None = None

    def __del__(self) -> None:
        # Runs at any line of any thread, so: no lock, no slot, only a queue that is
        # documented to be reentrant.
        # Not there if an interrupt came before it was made.
        if getattr(self, "armed", False):
            self._pool.abandon(self)

    @section
    def mend(self) -> None:
        """Take the slot back, and report the leak if it is one. Called by the pool's drain."""
        slot = self._slot
        pool = self._pool
        blocks: list[bytearray] | None = None
        resumed = False
        request, at = slot.request, slot.acquired_at
        # A finalizer runs once in an object's life, so the slot needs another guard.
        guard = Guard(pool, slot)
        try:
            with slot.lock:
                # Closed, but a lease was lost to an interrupt: mended, and nobody's forgetfulness.
                forgotten = slot.state != CLOSING
                detached = slot.detached
                step = _lifecycle.finalize(
                    slot.state,
                    slot.generation,
                    slot.leased,
                    slot.waiting,
                    slot.ended,
                    slot.failed,
                    slot.detached,
                    slot.held,
                    slot.paused,
                    self.generation,
                )
                self.armed = False
                if step[0] != RECYCLED:
                    return
                resumed = slot.paused
                blocks = pool.recycle(slot, guard)
                (_, slot.state, slot.generation, slot.leased, slot.waiting, slot.ended,
                 slot.failed, slot.detached, slot.held, slot.paused) = step  # fmt: skip
                pool.leaks += forgotten
            self._follow(blocks, resumed)
        except BaseException:
            pool.defer(partial(self._follow, blocks, resumed))
            raise
        if forgotten:
            report(request, detached, at)

    def _follow(self, blocks: list[bytearray] | None, resumed: bool) -> None:
        """What follows the lock. Again, where an interrupt came: twice is no harm."""
        if blocks is not None:
            self._pool.free_blocks(blocks)
        if resumed and self.feeder is not None:
            post(*self.feeder)


class _Report:
    """Warns from a destructor.

    A filter that makes warnings errors can't then raise into whoever happened to drain the
    queue: the interpreter reports it, as it does any finalizer's error.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __del__(self) -> None:
        # No text: an interrupt came before it had one.
        if text := getattr(self, "_text", ""):
            warnings.warn(text, ResourceWarning, stacklevel=2)


def report(request: str, detached: bool, at: Trace | None) -> None:
    """Issue the ResourceWarning for a body that nobody gave back."""
    what, verb = ("detached ", "detached") if detached else ("", "acquired")
    _Report(
        f"the {what}body of {request!r} was never closed: use `async with body`, or close() it; "
        f"{describe(at, what=verb)}"
    )
