"""How a body that nobody gave back is found, mended, and reported."""

import asyncio
import warnings
from collections.abc import Callable
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
        if self.armed:
            self._pool.abandon(self)

    @section
    def mend(self) -> None:
        """Take the slot back, and report the leak if it is one. Called by the pool's drain."""
        slot = self._slot
        pool = self._pool
        blocks: list[bytearray] | None = None
        request, at = slot.request, slot.acquired_at
        with slot.lock:
            # Closed, but a lease was lost to an interrupt: mended, and nobody's forgetfulness.
            forgotten = slot.state != CLOSING
            detached = slot.detached
            resumed = slot.paused
            (
                code,
                slot.state,
                slot.generation,
                slot.leased,
                slot.waiting,
                slot.ended,
                slot.failed,
                slot.detached,
                slot.held,
                slot.paused,
            ) = _lifecycle.finalize(
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
            if code == RECYCLED:
                # A finalizer runs once in an object's life, so the slot needs another guard.
                blocks = pool.recycle(slot, Guard(pool, slot))
                pool.leaks += forgotten
        if code != RECYCLED:
            return
        self.armed = False
        if blocks is not None:
            pool.free_blocks(blocks)
        if resumed and self.feeder is not None:
            post(*self.feeder)
        if forgotten:
            report(request, detached, at)


class _Report:
    """Warns from a destructor.

    A filter that makes warnings errors can't then raise into whoever happened to drain the
    queue: the interpreter reports it, as it does any finalizer's error.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __del__(self) -> None:
        warnings.warn(self._text, ResourceWarning, stacklevel=2)


def report(request: str, detached: bool, at: Trace | None) -> None:
    """Issue the ResourceWarning for a body that nobody gave back."""
    what, verb = ("detached ", "detached") if detached else ("", "acquired")
    _Report(
        f"the {what}body of {request!r} was never closed: use `async with body`, or close() it; "
        f"{describe(at, what=verb)}"
    )
