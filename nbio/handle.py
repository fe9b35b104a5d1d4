"""The handle's locked sections: every event of a body, each one transition under the slot's lock.

What is legal is decided by `nbio._lifecycle` alone. A section looks up the fields, applies the
one function, stores what it returns, and moves the blocks that the outcome says; it calls
nothing of anyone else's. Waking, posting and freeing come after the lock.

A signal's handler may raise in a section, wherever a function begins or a call into C returns.
So nothing is called from the first store to the last: an interrupted section did all or nothing.
(`+=` on a list is no call.) What then follows its lock, the next drain does.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeAlias

from nbio import _lifecycle
from nbio._lifecycle import COPY, EMPTIED, KEPT, NOT_WAITING, OK, PAUSE, RECYCLED, RESUME, VIEW
from nbio.errors import BodyError
from nbio.leaks import Feeder, Guard
from nbio.sections import section
from nbio.traces import Trace, capture
from nbio.variant import Referable
from nbio.waiters import Waiter, post

if TYPE_CHECKING:
    from nbio.pool import BodyPool, Slot

Who: TypeAlias = Literal["handler", "framework"]
Whole: TypeAlias = tuple[int, int, int, int, bool, bool, bool, bool, int, bool]
"""An outcome and every field of a slot that closing may write."""
Shut: TypeAlias = Callable[[int, int, int, bool, bool, bool, bool, int, bool, int], Whole]
"""The signature of `_lifecycle.close` and `_lifecycle.release`."""
Bytes: TypeAlias = bytes | bytearray | memoryview


class Handle(Referable):
    """A slot, and the generation it was acquired at: one request's claim on a body.

    Exactly one handle exists for each generation of a slot, so what belongs to one request
    (its waiter, its error, who closed it) lives here and dies with it.
    """

    __slots__ = (
        "__weakref__",
        "_closed_at",
        "_closed_by",
        "_error",
        "_feeder",
        "_guard",
        "_pool",
        "_request",
        "_slot",
        "_view",
        "_waiter",
        "asks",
        "consumed",
        "dropped",
        "generation",
        "received",
    )
    # For the compiler, which else allows no `del`.
    __deletable__ = ("_guard",)
    # Set by the pool, in one section. The guard is there while the slot is this handle's.
    _slot: "Slot"
    _guard: Guard
    generation: int

    def __init__(self, pool: "BodyPool", request: str) -> None:
        self._pool = pool
        self._request = request
        self._feeder: Feeder | None = None
        # Called when a reader has to wait, in its thread, if the client waits to be asked.
        self.asks: Callable[[], None] | None = None
        self._waiter: Waiter | None = None
        self._view: memoryview | None = None
        self._error: BodyError | None = None
        self._closed_by = ""
        self._closed_at: Trace | None = None
        self.received = self.consumed = self.dropped = 0

    # The loop's side.

    @section
    def _feed_tail(self, data: Bytes, size: int) -> int:
        """Copy what fits into the last block; return how many bytes did, or a refusal."""
        slot = self._slot
        with slot.lock:
            ends = slot.ends
            size = min(size, len(slot.blocks[-1]) - ends[-1]) if ends else 0
            if not size:
                return 0
            last, end = slot.blocks[-1], ends[-1]
            step = _lifecycle.feed(
                slot.state,
                slot.generation,
                slot.ended,
                slot.failed,
                slot.held,
                slot.paused,
                self.generation,
                0,
                self._pool.high_water,
            )
            if step[0] < OK:
                return step[0]
            # Under the lock, because a close in another thread may recycle the block next.
            memoryview(last)[end : end + size] = data[:size]
            _, slot.held, slot.paused = step
            ends[-1] = end + size
            self.received += size
            waiter = self._waiter
        if waiter is not None:
            waiter.wake()
        return size

    @section
    def _feed_block(self, block: bytearray, size: int) -> int:
        """Hand over a block with `size` bytes in it; PAUSE, OK, or a refusal."""
        slot = self._slot
        with slot.lock:
            code, slot.held, slot.paused = _lifecycle.feed(
                slot.state,
                slot.generation,
                slot.ended,
                slot.failed,
                slot.held,
                slot.paused,
                self.generation,
                1,
                self._pool.high_water,
            )
            if code < OK:
                return code
            slot.blocks += (block,)
            slot.ends += (size,)
            self.received += size
            # Between the marks it stays paused, although this feed alone gave no reason.
            paused = slot.paused
            waiter = self._waiter
        if waiter is not None:
            waiter.wake()
        return PAUSE if paused else OK

    @section
    def finish(self) -> None:
        """The end of the body was seen; a waiting reader learns it. Later calls do nothing."""
        slot = self._slot
        with slot.lock:
            code, slot.ended = _lifecycle.finish(
                slot.state, slot.generation, slot.ended, slot.failed, self.generation
            )
            if code < OK:
                return
            waiter = self._waiter
        if waiter is not None:
            waiter.wake()

    @section
    def fail(self, error: BodyError) -> None:
        """The body was cut off: readers get `error`, also those that wait.

        Without effect on a body that ended, failed or was closed before.
        """
        slot = self._slot
        with slot.lock:
            paused = slot.paused
            code, slot.failed, slot.paused = _lifecycle.fail(
                slot.state, slot.generation, slot.ended, slot.failed, slot.paused, self.generation
            )
            if code < OK:
                return
            self._error = error
            resumed = paused and not slot.paused
            waiter = self._waiter
        if waiter is not None:
            waiter.wake()
        if resumed and self._feeder is not None:
            post(self._feeder[0], self._resume)

    # Anyone's.

    @section
    def _shut(self, event: Shut, who: Who) -> int:
        """Close or release: any thread, any time, a finalizer too."""
        slot = self._slot
        pool = self._pool
        at = capture() if pool.debug else None
        if slot.lock.locked() and pool.defer_if_interrupted(partial(self._shut, event, who)):
            return OK
        blocks: list[bytearray] | None = None
        waiter: Waiter | None = None
        resumed = False
        try:
            with slot.lock:
                step = event(
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
                code = step[0]
                if code > OK:
                    resumed = slot.paused
                    if code == RECYCLED:
                        blocks = pool.recycle(slot, self._guard)
                        del self._guard
                    (_, slot.state, slot.generation, slot.leased, slot.waiting, slot.ended,
                     slot.failed, slot.detached, slot.held, slot.paused) = step  # fmt: skip
                    if not self._closed_by:
                        self._closed_by = who
                        self._closed_at = at
                elif who == "handler":
                    pool.count_late_close(self._closed_by)
                # A stale one too: the close that it comes after may have been interrupted.
                waiter = self._waiter if code != KEPT else None
            if blocks is not None or waiter is not None or resumed:
                self._follow(blocks, waiter, resumed)
        except BaseException:
            pool.defer(partial(self._follow, blocks, waiter, resumed))
            raise
        if code <= OK and at is not None and who == "handler":
            pool.note_late_close(self, at)
        return code

    def _follow(self, blocks: list[bytearray] | None, waiter: Waiter | None, resumed: bool) -> None:
        """What follows a section's lock. Again, where an interrupt came: twice is no harm."""
        if blocks is not None:
            self._pool.free_blocks(blocks)
        if waiter is not None:
            waiter.wake()
        if resumed and self._feeder is not None:
            post(self._feeder[0], self._resume)

    @section
    def _detach(self) -> int:
        at = capture()
        slot = self._slot
        with slot.lock:
            code, slot.detached = _lifecycle.detach(
                slot.state, slot.generation, slot.detached, self.generation
            )
            if code == OK:
                slot.acquired_at = at
        return code

    # The reader's side.

    @section
    def _lease(self, kind: int) -> int:
        slot = self._slot
        with slot.lock:
            step = _lifecycle.lease(
                slot.state,
                slot.generation,
                slot.leased,
                slot.waiting,
                slot.ended,
                slot.failed,
                slot.held,
                self.generation,
                kind,
            )
            if step[0] == OK and kind == VIEW:
                self._view = slot.window()
            code, slot.leased = step
        return code

    @section
    def _unlease(self, taken: int) -> None:
        """Give the lease back, `taken` bytes of the first block further on."""
        slot = self._slot
        pool = self._pool
        if slot.lock.locked() and pool.defer_if_interrupted(partial(self._unlease, taken)):
            return
        blocks: list[bytearray] | None = None
        block: bytearray | None = None
        resumed = False
        try:
            with slot.lock:
                # Of no meaning when the lease was revoked; then it is not used either.
                start = slot.start + taken
                freed = 1 if slot.ends and start == slot.ends[0] else 0
                step = _lifecycle.unlease(
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
                    freed,
                    pool.low_water,
                )
                code = step[0]
                if code == RECYCLED:
                    blocks = pool.recycle(slot, self._guard)
                    del self._guard
                elif code >= OK:
                    resumed = code == RESUME
                    self.consumed += taken
                    slot.start = start
                    if freed:
                        block = slot.blocks[0]
                        del slot.blocks[0]
                        del slot.ends[0]
                        slot.start = 0
                (_, slot.state, slot.generation, slot.leased, slot.waiting, slot.ended,
                 slot.failed, slot.detached, slot.held, slot.paused) = step  # fmt: skip
            if block is not None:
                pool.put_block(block)
                block = None
            if blocks is not None or resumed:
                self._follow(blocks, None, resumed)
        except BaseException:
            blocks = blocks if block is None else [block]
            pool.defer(partial(self._follow, blocks, None, resumed))
            raise

    @section
    def _wait(self, waiter: Waiter) -> int:
        """Go to sleep: `waiter` will be woken, once."""
        slot = self._slot
        with slot.lock:
            code, slot.waiting = _lifecycle.wait(
                slot.state,
                slot.generation,
                slot.leased,
                slot.waiting,
                slot.ended,
                slot.failed,
                slot.held,
                self.generation,
            )
            if code == OK:
                self._waiter = waiter
        if code == OK and self.asks is not None:
            self.asks()
        return code

    @section
    def _wake(self, kind: int) -> int:
        """The waiter's own step: OK with the lease, EMPTIED or STALE without."""
        slot = self._slot
        with slot.lock:
            code, slot.leased, slot.waiting = self._wake_step(kind)
            if code == OK and kind == VIEW:
                self._view = slot.window()
        return code

    def _give_up_waiting(self) -> None:
        """The wait was cancelled, timed out or interrupted; possibly by the collector."""
        if self._leave() == OK:
            self._unlease(0)

    @section
    def _leave(self) -> int:
        slot = self._slot
        if slot.lock.locked() and self._pool.defer_if_interrupted(self._give_up_waiting):
            return EMPTIED
        with slot.lock:
            code, slot.leased, slot.waiting = self._wake_step(COPY)
        return code

    def _wake_step(self, kind: int) -> tuple[int, int, bool]:
        slot = self._slot
        step = _lifecycle.wake(
            slot.generation,
            slot.leased,
            slot.waiting,
            slot.failed,
            slot.held,
            self.generation,
            kind,
        )
        # Forgotten only by the waiter that it is: NOT_WAITING says that it had left before.
        if step[0] != NOT_WAITING:
            self._waiter = None
        return step

    def _resume(self) -> None:
        # Fed full again between the post and this: the next drain posts again.
        if self._feeder is not None and not self.paused:
            self._feeder[1]()

    @property
    def paused(self) -> bool:
        """Whether the feeder must not read from its socket: above high water, not yet drained."""
        slot = self._slot
        paused = slot.paused
        # In this order: the generation never comes back, so what was read before it is ours.
        return slot.generation == self.generation and paused
