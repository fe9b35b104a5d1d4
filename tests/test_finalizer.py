"""A garbage collection forced at each line of every locked section.

No search over thread schedules shows what a finalizer does, because it is no thread: it
interrupts one, at any line, with the lock held. So a trace function drops garbage at every line
of every section, and collects it there: a handle that nobody gave back, an application's object
whose `__del__` closes a body, and a coroutine that is killed while it waits. Two things are
asked: that no finalizer waits for the lock that it interrupted, and that none acts on a slot
while a section is half done. That the harness can see both is shown on broken copies.
"""

import asyncio
import gc
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import TYPE_CHECKING

import pytest

from nbio import _lifecycle
from nbio.blocks import BlockPool
from nbio.body import BodyReader
from nbio.errors import BodyDisconnected
from nbio.leaks import Guard
from nbio.pool import BodyPool
from nbio.sections import SECTIONS
from tests.live import source_only

if TYPE_CHECKING:
    from _typeshed import TraceFunction

DEADLINE = 20.0
SEEDED_DEADLINE = 4.0
"""Seconds after which a scenario that needs a fraction of that is said to hang."""


PIECES = 250
"""Pieces of garbage: one for each line that a lock is held at, and some to spare."""


class Closer:
    """An application's object that closes a body when it goes, as file wrappers do."""

    def __init__(self, body: BodyReader) -> None:
        self.body = body
        self.itself = self

    def __del__(self) -> None:
        self.body.close()
        self.body.release()


class Dropped:
    """A cycle with a body that nobody gave back."""

    def __init__(self, body: BodyReader) -> None:
        self.body = body
        self.itself = self


class Killed:
    """A cycle with a coroutine that waits for a body; its `finally` gives up the wait."""

    def __init__(self, body: BodyReader) -> None:
        self.body = body
        self.coroutine: Coroutine[object, None, bytes] = body.read(1)
        self.coroutine.send(None)
        self.itself = self


class Harness:
    """Collects one prepared cycle at each line of a section, and watches what follows."""

    def __init__(self, pool: BodyPool, garbage: list[object]) -> None:
        self.pool = pool
        self.garbage = garbage
        self.lines: set[tuple[CodeType, int]] = set()
        self.entered: set[CodeType] = set()
        self.half_done: list[str] = []
        self.inside = False

    def trace(self, frame: FrameType, event: str, arg: object) -> "TraceFunction | None":
        if frame.f_code not in SECTIONS or self.inside:
            return None
        self.entered.add(frame.f_code)
        return self.line

    def line(self, frame: FrameType, event: str, arg: object) -> "TraceFunction | None":
        place = (frame.f_code, frame.f_lineno)
        if event == "line" and self.pool._lock.locked() and place not in self.lines:
            self.lines.add(place)
            self.inside = True
            before = self.snapshot()
            self.garbage.pop()
            gc.collect()
            if self.snapshot() != before:
                self.half_done.append(f"changed under {frame.f_code.co_qualname}: {place[1]}")
            self.inside = False
        return self.line

    def snapshot(self) -> list[object]:
        """All that a finalizer may not touch while the lock is held."""
        pool = self.pool
        slots = sorted(pool._slots, key=id)
        return [
            (pool._acquired, pool._released, pool.leaks, len(pool._idle)),
            *((s.state, s.generation, s.leased, s.waiting, s.held, s.guard) for s in slots),
        ]


async def scenario(pool: BodyPool) -> None:
    """Pass through every section, with outcomes of every kind."""
    body = pool.acquire("POST /a", on_resume=lambda: None)
    for _ in range(3):
        body.feed(b"0123456789")
    assert await body.read(4) == b"0123"
    assert await body.readinto(bytearray(8)) == 4
    async for view in body.views():
        assert view
        break
    body.feed(b"tail")
    body.detach()
    body.finish()
    assert (await body.read())[-4:] == b"tail"
    body.release()
    body.close()
    body.close()
    for event in ("feed", "finish", "fail", "close", "cancel"):
        other = pool.acquire("POST /b")
        task = asyncio.ensure_future(other.read(1))
        await asyncio.sleep(0)
        if event == "feed":
            other.feed(b"x")
        elif event == "finish":
            other.finish()
        elif event == "fail":
            other.fail(BodyDisconnected("gone"))
        elif event == "close":
            other.close()
        else:
            task.cancel()
        await asyncio.wait([task])
        task.cancelled() or task.exception()
        other.release()
    pool.stats()
    pool.outstanding()


def prepare(pool: BodyPool, kind: str, count: int) -> list[object]:
    """Make garbage in advance: acquiring inside a section would be no finalizer's doing."""
    made: list[object] = []
    for index in range(count):
        body = pool.acquire(f"POST /garbage/{index}")
        if kind == "dropped":
            made.append(Dropped(body))
        elif kind == "closer":
            made.append(Closer(body))
        else:
            made.append(Killed(body))
    return made


@contextmanager
def traced(harness: Harness) -> Iterator[None]:
    before = sys.gettrace()
    sys.settrace(harness.trace)
    try:
        yield
    finally:
        sys.settrace(before)


def run(
    kind: str, seed: Callable[[BodyPool], None] | None = None
) -> tuple[Harness, bool, list[BaseException]]:
    """Run the scenario in a thread of its own; return the harness, whether it ended, errors."""
    pool = BodyPool(BlockPool(block_size=8), high_water=2, low_water=1, safety="off")
    if seed is not None:
        seed(pool)
    made: list[Harness] = []
    errors: list[BaseException] = []

    async def main() -> None:
        # What exists already is left out of the collections, for speed.
        gc.collect()
        gc.freeze()
        harness = Harness(pool, prepare(pool, kind, PIECES))
        made.append(harness)
        gc.disable()
        with traced(harness):
            await scenario(pool)
        harness.garbage.clear()
        gc.collect()

    def work() -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                asyncio.run(main())
                pool.drain()
        except BaseException as error:
            errors.append(error)

    # Daemonic, since a deadlock is what it may end in.
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(DEADLINE if seed is None else SEEDED_DEADLINE)
    gc.unfreeze()
    gc.enable()
    return made[0], not thread.is_alive(), errors


# Balance is checked in the test itself: a deadlock would also stop whoever counts.
@source_only
@pytest.mark.nbio_unbalanced
@pytest.mark.parametrize("kind", ["dropped", "closer", "killed"])
def test_a_collection_at_each_line_of_every_section(kind: str) -> None:
    harness, ended, errors = run(kind)
    assert ended, "a finalizer waited for the lock that it interrupted"
    assert errors == []
    assert harness.half_done == []
    # Sections that only a finalizer's own queue enters are not on the way here.
    missed = {code.co_qualname for code in SECTIONS - harness.entered}
    assert missed <= {"Guard.mend", "Handle._leave", "BodyPool._grow"}
    pool = harness.pool
    stats = pool.stats()
    assert (stats.outstanding, stats.blocks.outstanding) == (0, 0)
    assert stats.leaks == (0 if kind == "closer" else PIECES)
    assert all(slot.state == _lifecycle.FREE and slot.guard for slot in pool._idle)
    assert len(set(map(id, pool._idle))) == len(pool._idle)
    pool.leaks = 0


# Broken copies. Each runs in a process of its own: a finalizer that hangs, hangs the collector.


class Reentrant:
    """The lock that doesn't hang a finalizer, and lets it act in between."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._depth = 0

    def __enter__(self) -> None:
        self._lock.acquire()
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        self._lock.release()

    def locked(self) -> bool:
        return self._depth > 0


def mend_at_once(guard: Guard) -> None:
    """What a finalizer without a queue would do."""
    if guard.armed:
        guard.mend()


def no_bug(pool: BodyPool) -> None:
    """The control."""


def finalizer_takes_the_lock(pool: BodyPool) -> None:
    setattr(Guard, "__del__", mend_at_once)  # noqa: B010  # an assignment mypy refuses


def finalizer_reenters_the_lock(pool: BodyPool) -> None:
    finalizer_takes_the_lock(pool)
    setattr(pool, "_lock", Reentrant())  # noqa: B010


def close_does_not_look_whom_it_interrupts(pool: BodyPool) -> None:
    setattr(pool, "defer_if_interrupted", lambda action: False)  # noqa: B010


def drain_does_not_look_whom_it_interrupts(pool: BodyPool) -> None:
    def defer(action: Callable[[], object]) -> bool:
        pool.defer(action)
        return True

    setattr(sys.modules["nbio.pool"], "interrupted", lambda: False)  # noqa: B010
    setattr(pool, "defer_if_interrupted", defer)  # noqa: B010


def verdict(kind: str, bug: str) -> str:
    """Run a kind of garbage against a seeded bug, in this process; say what was seen."""
    harness, ended, errors = run(kind, globals()[bug])
    if not ended:
        return "hangs"
    return "half done" if harness.half_done else f"{errors or 'holds'}"


SEEDED = {
    ("dropped", "no_bug"): "holds",
    ("dropped", "finalizer_takes_the_lock"): "hangs",
    ("dropped", "finalizer_reenters_the_lock"): "half done",
    ("closer", "close_does_not_look_whom_it_interrupts"): "hangs",
    ("killed", "close_does_not_look_whom_it_interrupts"): "hangs",
    ("closer", "drain_does_not_look_whom_it_interrupts"): "hangs",
}


@source_only
def test_the_harness_sees_seeded_bugs() -> None:
    children = {
        case: subprocess.Popen(
            [sys.executable, __file__, *case],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for case in SEEDED
    }
    said = {case: child.communicate(timeout=60)[0].strip() for case, child in children.items()}
    assert said == SEEDED


def test_a_guard_taken_back_does_not_fire() -> None:
    pool = BodyPool(max_idle_slots=0)
    pool.acquire("GET /").release()
    gc.collect()
    assert pool.drain() == 0


if __name__ == "__main__":
    print(verdict(*sys.argv[1:]), flush=True)
    # Not by the usual way out: threads and the collector may hang.
    os._exit(0)
