"""The body pool: slots, used again; blocks, taken from a block pool; and the count of both."""

import asyncio
import contextlib
import queue
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from nbio import _lifecycle
from nbio._lifecycle import FREE, NONE, OK
from nbio.blocks import BlockPool, BlockStats, Safety
from nbio.body import BodyReader
from nbio.errors import PoolExhausted, PoolImbalance
from nbio.handle import Handle
from nbio.leaks import Guard
from nbio.sections import Lock, interrupted, new_lock, section
from nbio.traces import Trace, capture, describe

SAMPLE = 128
"""In "simple" mode one acquisition in this many notes its stack."""

LATE_KEPT = 32
"""How many late closes a debug pool remembers with both stacks."""


class Slot:
    """A queue of blocks, and the lifecycle variables that say what may be done with it.

    `held` is the number of queued blocks, and each of them has unread bytes. `start` is the
    first unread byte of the first block, `ends` where each block's bytes end.
    """

    __slots__ = (
        "acquired_at",
        "blocks",
        "detached",
        "ended",
        "ends",
        "failed",
        "generation",
        "guard",
        "held",
        "leased",
        "lock",
        "paused",
        "request",
        "start",
        "state",
        "waiting",
    )

    def __init__(self, lock: Lock) -> None:
        self.lock = lock
        self.state: int = FREE
        self.generation = 0
        self.leased: int = NONE
        self.waiting = False
        self.ended = False
        self.failed = False
        self.detached = False
        self.held = 0
        self.paused = False
        self.blocks: list[bytearray] = []
        self.ends: list[int] = []
        self.start = 0
        self.request = ""
        self.acquired_at: Trace | None = None
        self.guard: Guard | None = None

    def window(self) -> memoryview:
        """Look at the first block's unread bytes. The lock is held, and a VIEW lease taken.

        Under the lock, because the framework's release may revoke that lease as soon as the
        lock is free: the export must be there before anyone probes the block.
        """
        return memoryview(self.blocks[0])[self.start : self.ends[0]].toreadonly()


@dataclass(frozen=True, slots=True)
class PoolStats:
    """What a body pool did so far. acquired = released + outstanding, always.

    `stale_closes` came after the framework's release, `double_closes` after another close by
    the handler; neither had any effect. `leaks` were found by the finalizer, and mended.
    """

    acquired: int
    released: int
    outstanding: int
    stale_closes: int
    double_closes: int
    leaks: int
    blocks: BlockStats


@dataclass(frozen=True, slots=True)
class LateClose:
    """A close that came too late, as a debug pool remembers it."""

    request: str
    first_by: str
    first_at: Trace | None
    again_at: Trace

    def __str__(self) -> str:
        return (
            f"the body of {self.request!r} was closed by the {self.first_by}, and again:\n"
            f"{describe(self.first_at, what='closed first')}\n"
            f"{describe(self.again_at, what='closed again')}"
        )


class BodyPool:
    """A thread-safe pool of request bodies.

    `high_water` and `low_water` are counted in blocks held by one body: at or above the first
    its feeder must pause, at or below the second it may resume. At most `max_slots` bodies
    are out at once, at most `max_idle_slots` slots are kept for reuse.

    `large` is a second pool of blocks, of another size: what a feeder takes there comes back
    there, and to a slot a block is a block, whatever its size.

    `safety`: "off" checks generations only; "simple" also samples acquisition stacks; "debug"
    notes every acquisition and both stacks of a second close, poisons freed blocks and holds
    them back before they are used again.

    One lock serves all slots of the pool: its sections are short, and what a slot's event and
    the pool's count and free list need together is then one acquisition, not two.
    """

    on_create: ClassVar[Callable[["BodyPool"], None] | None] = None
    """Told of every new pool; `nbio.testing` finds a test's pools by it."""

    def __init__(
        self,
        blocks: BlockPool | None = None,
        *,
        max_slots: int = 65536,
        max_idle_slots: int = 1024,
        high_water: int = 4,
        low_water: int = 2,
        safety: Safety = "simple",
        large: BlockPool | None = None,
    ) -> None:
        if not 0 <= low_water < high_water or max_slots < 1 or max_idle_slots < 0:
            raise ValueError(
                "a body pool needs 0 <= low_water < high_water, max_slots >= 1 and "
                f"max_idle_slots >= 0, not {low_water}, {high_water}, {max_slots}, "
                f"{max_idle_slots}"
            )
        if safety not in ("off", "simple", "debug"):
            raise ValueError(f'safety is "off", "simple" or "debug", not {safety!r}')
        self.blocks = blocks if blocks is not None else BlockPool(safety=safety)
        self.large = large
        self.high_water = high_water
        self.low_water = low_water
        self.max_slots = max_slots
        self.max_idle_slots = max_idle_slots
        self.debug = safety == "debug"
        self.late_closes: deque[LateClose] = deque(maxlen=LATE_KEPT)
        self._sample = {"off": 0, "simple": SAMPLE, "debug": 1}[safety]
        self._lock = new_lock()
        # What finalizers left to be done; each entry does its own event.
        self._pending: queue.SimpleQueue[Guard | Callable[[], object]] = queue.SimpleQueue()
        self._idle: list[Slot] = []
        self._slots: set[Slot] = set()
        self._acquired = 0
        self._released = 0
        self._stale_closes = 0
        self._double_closes = 0
        self.leaks = 0
        if BodyPool.on_create is not None:
            BodyPool.on_create(self)

    def acquire(
        self,
        request: str,
        *,
        loop: asyncio.AbstractEventLoop | None = None,
        on_resume: Callable[[], None] | None = None,
    ) -> BodyReader:
        """Take a body for a request, labelled e.g. "POST /upload" in every error.

        `on_resume` is called on `loop`'s thread, by default the running loop's, whenever a
        paused feeder may read from its socket again.

        Raises PoolExhausted when `max_slots` bodies are out.
        """
        if not self._pending.empty():
            self.drain()
        body = BodyReader(self, request)
        while not self._assign(body):
            self._grow()
        slot = body._slot
        slot.request = request
        noted = self._sample and self._acquired % self._sample == 0
        slot.acquired_at = capture() if noted else None
        if on_resume is not None:
            body._feeder = (loop or asyncio.get_running_loop(), on_resume)
            body._guard.feeder = body._feeder
        return body

    @section
    def _assign(self, body: BodyReader) -> bool:
        """Give the body an idle slot and its guard; False when there is none."""
        with self._lock:
            if not self._idle:
                return False
            slot = self._idle[-1]
            guard = slot.guard
            assert guard is not None, "an idle slot has its guard"
            code, slot.state = _lifecycle.acquire(slot.state)
            assert code == OK, f"a slot in state {slot.state} was in the pool"
            # From here on nothing calls, so no interrupt comes between these lines; after
            # them the guard gives the slot back, should the body not reach the caller.
            body._slot = slot
            body.generation = guard.generation = slot.generation
            body._guard = guard
            slot.guard = None
            guard.armed = True
            self._acquired += 1
            del self._idle[-1]
        return True

    @section
    def _grow(self) -> None:
        """Add an idle slot."""
        slot = Slot(self._lock)
        slot.guard = Guard(self, slot)
        with self._lock:
            full = self._acquired - self._released >= self.max_slots
            if not full:
                self._slots |= {slot}
                self._idle += (slot,)
        if full:
            raise PoolExhausted(
                f"all {self.max_slots} bodies are in use: raise max_slots, or accept fewer "
                "connections"
            )

    def recycle(self, slot: Slot, guard: Guard) -> list[bytearray] | None:
        """Take a freed slot back with its guard, and its blocks off it. The lock is held.

        The caller gives the blocks to `free_blocks` after the lock.
        """
        idle = self._idle
        room = len(idle) < self.max_idle_slots
        # From here on nothing calls, nor does the caller until it has stored the slot's fields:
        # an interrupted one has recycled nothing.
        guard.armed = False
        guard.feeder = None
        slot.guard = guard
        slot.start = 0
        self._released += 1
        if room:
            idle += (slot,)
        else:
            self._slots -= {slot}
        blocks = slot.blocks
        if not blocks:
            return None
        slot.blocks = []
        slot.ends = []
        return blocks

    def free_blocks(self, blocks: list[bytearray]) -> None:
        """Return a freed slot's blocks to the block pool. Interrupted, it may be called again."""
        while blocks:
            self.put_block(blocks[-1])
            del blocks[-1]

    def put_block(self, block: bytearray) -> None:
        """Return a block to the block pool that it is of. Never waits."""
        large = self.large
        if large is not None and len(block) == large.block_size:
            large.put(block)
        else:
            self.blocks.put(block)

    # Finalizers.

    def defer_if_interrupted(self, action: Callable[[], object]) -> bool:
        """For a call that finds the lock taken, and may be running in a finalizer.

        When this thread holds the lock itself, in a section that the finalizer interrupted,
        waiting for it would never end: `action` is left to the next drain, and True returned.
        """
        if not interrupted():
            return False
        self._pending.put(action)
        return True

    def defer(self, action: Callable[[], object]) -> None:
        """Leave `action` to the next drain. Reentrant: any finalizer may call it."""
        self._pending.put(action)

    def abandon(self, guard: Guard) -> None:
        """Called by a guard's finalizer: nobody can give that slot back any more."""
        self._pending.put(guard)

    def drain(self) -> int:
        """Do what finalizers left to be done; return how many things it was.

        Called by acquire and release; a server calls it now and then too, so that an idle one
        also mends its leaks. In a finalizer that interrupted a section it leaves them there.
        """
        if self._lock.locked() and interrupted():
            return 0
        count = 0
        todo: list[Guard | Callable[[], object]] = []
        try:
            while self._take(todo):
                action = todo[0]
                # A guard may be mended again, should an interrupt come; an action does its own
                # event, and when that was done is its own affair.
                if isinstance(action, Guard):
                    action.mend()
                    del todo[0]
                else:
                    del todo[0]
                    action()
                count += 1
        finally:
            # Only an interrupt leaves any.
            for action in todo:
                self._pending.put(action)
        return count

    def _take(self, todo: list[Guard | Callable[[], object]]) -> bool:
        """Take what is pending, guards last; whether there is anything to do.

        Last, since what died together was put there in any order: an object that closes its
        body in its own finalizer leaked nothing.
        """
        if not self._pending.empty():
            # By iteration: no interrupt comes between its step and the name, as after a call.
            taking: Iterator[Guard | Callable[[], object]] = iter(self._pending.get_nowait, None)
            with contextlib.suppress(queue.Empty):
                for action in taking:
                    todo += (action,)
            todo.sort(key=lambda action: isinstance(action, Guard))
        return bool(todo)

    # Counting.

    def count_late_close(self, closed_by: str) -> None:
        """Count a close without effect. The lock is held."""
        if closed_by == "handler":
            self._double_closes += 1
        else:
            self._stale_closes += 1

    def note_late_close(self, body: Handle, at: Trace) -> None:
        """Remember both stacks of a late close, in debug mode."""
        self.late_closes.append(LateClose(body._request, body._closed_by, body._closed_at, at))

    def stats(self) -> PoolStats:
        """Count slots, all at one moment, and blocks, all at one moment."""
        self.drain()
        blocks = self.blocks.stats()
        return self._count(blocks if self.large is None else blocks + self.large.stats())

    @section
    def _count(self, blocks: BlockStats) -> PoolStats:
        with self._lock:
            return PoolStats(
                self._acquired,
                self._released,
                self._acquired - self._released,
                self._stale_closes,
                self._double_closes,
                self.leaks,
                blocks,
            )

    @section
    def outstanding(self) -> list[tuple[str, Trace | None]]:
        """Name the request, and the place of acquisition if noted, of each slot that is out."""
        with self._lock:
            return [(s.request, s.acquired_at) for s in self._slots if s.state != FREE]

    def assert_balanced(self) -> None:
        """Check that every slot and block is back, or given up and counted.

        Raises PoolImbalance, which names each slot that isn't, and where it was acquired.
        """
        stats = self.stats()
        if not stats.outstanding and not stats.blocks.outstanding:
            return
        names = [f"{request!r} {describe(at)}" for request, at in self.outstanding()]
        raise PoolImbalance(
            f"{stats.outstanding} of {stats.acquired} bodies and {stats.blocks.outstanding} of "
            f"{stats.blocks.acquired} blocks have not come back: release each body at the end "
            "of its request, and close() those that were detached\n" + "\n".join(names)
        )
