"""Histories of the real pool under real threads, each of which some order of the calls explains.

Four threads use two handles of one slot: an old one, whose body was given back, and the present
one. What each call answered is compared with the model: the tables of
``model/lifecycle.py``, stepped by the interpreter; the pool is the real one, unmodified.
"""

from __future__ import annotations

import itertools
import random
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from types import FrameType
from typing import TYPE_CHECKING, Final, Literal

from model.lifecycle import SLOT
from nbio import _lifecycle
from nbio._lifecycle import COPY, OK
from nbio.blocks import BlockPool
from nbio.body import BodyReader
from nbio.handle import Shut, Who
from nbio.pool import BodyPool
from nbio.sections import SECTIONS
from nbio.verify.engine import Verdict
from nbio.verify.linearize import Call, Linearized, Recorder, linearize
from proofs.abstraction import NOW, by_table
from proofs.ledger import Row, progress

if TYPE_CHECKING:
    from _typeshed import TraceFunction

HISTORIES: Final = 10_000
THREADS: Final = 4
CALLS: Final = 3
"""Of each thread in a history."""
SWITCH: Final = 1e-6
"""Seconds between two forced switches of threads."""
OFTEN: Final = 0.2
"""Of the lines of a locked section, before which the others are let in."""
SIZE: Final = 4
HIGH, LOW = 2, 1

FIELDS: Final = tuple(SLOT.fields)
Slot = tuple[int, ...]
"""The fields of the slot in the order of the tables."""


class Sleeper:
    """A waiter that nobody waits with."""

    def wake(self) -> None:
        """Nothing to be done."""


@dataclass(frozen=True)
class Operation:
    """A call on a handle: how it is made, and the event and parameters that it is."""

    run: Callable[[BodyReader], object]
    event: str
    params: tuple[tuple[str, int], ...] = ()


def _feed(body: BodyReader) -> int:
    block = body._pool.blocks.get()
    code = body._feed_block(block, SIZE)
    if code < OK:
        body._pool.blocks.put(block)
    return code


OPERATIONS: Final = {
    "feed": Operation(_feed, "feed", (("blocks", 1), ("high", HIGH))),
    "lease": Operation(lambda b: b._lease(COPY), "lease", (("kind", COPY),)),
    "wait": Operation(lambda b: b._wait(Sleeper()), "wait"),
    "wake": Operation(lambda b: b._wake(COPY), "wake", (("kind", COPY),)),
    "close": Operation(lambda b: b._shut(_lifecycle.close, "handler"), "close"),
    "release": Operation(lambda b: b._shut(_lifecycle.release, "framework"), "release"),
    "detach": Operation(lambda b: b._detach(), "detach"),
    "unlease": Operation(lambda b: b._unlease(SIZE), "unlease", (("freed", 1), ("low", LOW))),
}
"""Calls whose answer is the event's outcome. The handle is told by its generation."""


@cache
def stepped(slot: Slot, name: str, generation: int) -> tuple[int | None, Slot]:
    """What the tables make of an operation: its answer, and the slot after it."""
    given = dict(zip(FIELDS, slot, strict=True))
    operation = OPERATIONS[name]
    params = {"presented": generation, **dict(operation.params)}
    code, *new = by_table(SLOT.events[operation.event], {**given, **params}, FIELDS)
    if name == "unlease":
        # It says nothing; only whoever has the lease calls it.
        return None, tuple(new)
    if name == "feed" and code == OK and new[FIELDS.index("paused")]:
        # Between the marks the feeder is told again, as the handle's docstring says.
        code = _lifecycle.PAUSE
    return code, tuple(new)


def pool_model(slot: Slot, call: Call) -> Iterable[tuple[object, Slot]]:
    """The pool as a sequential object, for `linearize`."""
    (generation,) = call.args
    assert isinstance(generation, int)
    yield stepped(slot, call.name, generation)


def nothing() -> None:
    """There is no socket to be read from again."""


class Unlocked:
    """A lock that locks nothing: the first seeded bug."""

    def __enter__(self) -> None:
        time.sleep(0)

    def __exit__(self, *_: object) -> None:
        pass

    def locked(self) -> bool:
        """Never."""
        return False


class Hasty(BodyReader):
    """The second: the generation is compared first, and acted upon later."""

    __slots__ = ()

    def _shut(self, event: Shut, who: Who) -> int:
        own = self.generation
        if own != self._slot.generation:
            return _lifecycle.STALE
        time.sleep(0)
        self.generation = self._slot.generation
        try:
            return super()._shut(event, who)
        finally:
            self.generation = own


Seed = Literal["", "no lock", "generation compared before the lock"]


class Scene:
    """A pool with one slot, two handles of it, and what was recorded of a history."""

    def __init__(self, seed: Seed) -> None:
        self.pool = BodyPool(
            BlockPool(SIZE), max_slots=1, high_water=HIGH, low_water=LOW, safety="off"
        )
        self.old = self.pool.acquire("old")
        self.old.release()
        self.body = self.pool.acquire("new", loop=NOW, on_resume=nothing)
        if seed == "no lock":
            setattr(self.body._slot, "lock", Unlocked())  # noqa: B010  # mypy refuses the assignment
        elif seed:
            self.old.__class__ = self.body.__class__ = Hasty
        self.start: Slot = tuple(int(getattr(self.body._slot, n)) for n in FIELDS)
        self.recorder = Recorder()

    def play(self, thread: int, names: Sequence[str]) -> None:
        """One thread's part: its calls, and each lease that it got given back."""
        for name in names:
            body = self.old if name.startswith("old ") else self.body
            try:
                got = self._call(thread, name.removeprefix("old "), body)
                if got == OK and name in ("lease", "wake"):
                    self._call(thread, "unlease", body)
            except Exception:
                # Noted as the call's answer, which no model gives.
                return

    def _call(self, thread: int, name: str, body: BodyReader) -> object:
        run = OPERATIONS[name].run
        return self.recorder.call(thread, name, lambda g: run(body), body.generation)

    def judged(self) -> Linearized:
        """Whether an order explains what was recorded."""
        return linearize(self.recorder.history(), pool_model, self.start)

    def end(self) -> None:
        """Everything is given back. Raises PoolImbalance when it isn't."""
        self.body.close()
        self.pool.assert_balanced()


CALLED: Final = (
    *("feed", "feed", "lease", "lease", "lease", "wait", "wake", "close", "release", "detach"),
    *("old close", "old feed", "old lease"),
)
"""What a thread chooses its calls from."""


def scripts(seed: int) -> list[list[str]]:
    """What each thread does in the history of that number."""
    chance = random.Random(seed)
    return [chance.choices(CALLED, k=CALLS) for _ in range(THREADS)]


class Jostle:
    """Lets other threads in, at lines of the locked sections that chance picks.

    A call takes a few microseconds, and the interpreter can't switch threads more often than that:
    without this one history in a hundred has calls that overlap.
    """

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)

    def trace(self, frame: FrameType, event: str, arg: object) -> TraceFunction | None:
        """Follow the sections only."""
        return self._line if frame.f_code in SECTIONS else None

    def _line(self, frame: FrameType, event: str, arg: object) -> TraceFunction | None:
        if self._chance.random() < OFTEN:
            time.sleep(0)
        return self._line


@dataclass
class Recorded:
    """What a run saw. ``told``: the first history that no order explains, for people."""

    histories: int = 0
    overlapping: int = 0
    calls: int = 0
    told: str = ""


def record(histories: int, seed: Seed = "", first: int = 0) -> Recorded:
    """Record so many histories, judge each, and stop at the first that no order explains."""
    seen, scenes = Recorded(), list[Scene]()
    gate = threading.Barrier(THREADS + 1)

    def work(thread: int) -> None:
        sys.settrace(Jostle(first + thread).trace)
        for number in range(first, first + histories):
            gate.wait()
            if seen.told:
                return
            scenes[0].play(thread, scripts(number)[thread])
            gate.wait()

    threads = [threading.Thread(target=work, args=(t,), daemon=True) for t in range(THREADS)]
    for thread in threads:
        thread.start()
    with switching(SWITCH):
        for _ in range(histories):
            scenes[:] = [Scene(seed)]
            gate.wait()
            gate.wait()
            _judge(scenes[0], seen, ends=not seed)
            if seen.told:
                break
            if seen.histories % 500 == 0:
                progress(f"{seen.histories:,} of {histories:,}")
    if seen.told and seen.histories < histories:
        gate.wait()
    for thread in threads:
        thread.join()
    return seen


def _judge(scene: Scene, seen: Recorded, ends: bool) -> None:
    history = scene.recorder.history()
    seen.histories += 1
    seen.calls += len(history)
    seen.overlapping += any(a.ended > b.began for a, b in itertools.pairwise(history))
    judged = scene.judged()
    if judged.order is None:
        seen.told = str(judged)
    elif ends:
        scene.end()


@contextmanager
def switching(seconds: float) -> Iterator[None]:
    """Threads are switched that often."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(seconds)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


# ----------------------------------------------------------------------------------------- rows


def rows() -> Iterator[Row]:
    """The real pool's histories, and the two seeded bugs."""
    started = time.perf_counter()
    seen = record(HISTORIES)
    free = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    yield Row(
        f"{seen.histories:,} histories of the real pool are linearizable, {seen.overlapping:,} "
        f"with calls that overlap, {seen.calls:,} calls",
        "recorded from threads, searched by Wing and Gong's method with memory, against the tables",
        Verdict.REFUTED if seen.told else Verdict.CONFIRMED,
        f"{THREADS} threads, {CALLS} calls each, one slot, a stale handle beside the present one; "
        + (
            "free-threaded Python"
            if free
            else "with the GIL, and switches at lines chosen by chance"
        ),
        time.perf_counter() - started,
        "histories that did not come up",
        tuple(seen.told.splitlines()),
    )
    yield from map(_seeded, SEEDS)


SEEDS: Final[tuple[Seed, ...]] = ("no lock", "generation compared before the lock")


def _seeded(seed: Seed) -> Row:
    started = time.perf_counter()
    seen = record(HISTORIES, seed)
    return Row(
        f"a copy with {seed} is found out, in history {seen.histories:,}",
        "the same harness",
        Verdict.CONFIRMED if seen.told else Verdict.UNKNOWN,
        f"at most {HISTORIES:,} histories",
        time.perf_counter() - started,
        "that every race would be found",
        ("not found: this run of the real pool says little",),
    )


if __name__ == "__main__":
    for row in rows():
        print("\n".join(row.lines()))
