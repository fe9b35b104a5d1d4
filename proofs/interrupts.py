"""Real signals, in a storm, while the pool works: wherever one interrupts it, the books are right.

A signal's handler runs in the main thread, between two instructions of whatever runs there, and
may raise: Ctrl-C does, and a time-out by `signal.alarm`. The interpreter doesn't look for signals
between any two instructions, only where a function begins, after a call into C, and where a loop
goes back; never between taking a lock and being in its `with`. A trace function that raises does
so where no signal can; so here a timer sends real ones, and the handler raises wherever it finds
itself for the first time. Then everybody lets go, and every slot and block must be back.

What an interrupt may cost is what the interrupted call was asked to do. A lease that was taken and
never heard of is given back when its handle dies. Not tried: an interrupt in a finalizer, which
the interpreter swallows, and a second one within the handling of the first.
"""

from __future__ import annotations

import random
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from types import CodeType, FrameType
from typing import Final

import nbio
from nbio.blocks import Safety
from nbio.leaks import Guard
from nbio.pool import BodyPool, Slot
from nbio.sections import SECTIONS
from nbio.verify.engine import Verdict
from proofs.interrupted import WORK, Interrupt, Scene, wrong
from proofs.ledger import Row

FOLDER: Final = nbio.__path__[0]
EVERY: Final = 25e-6
"""Seconds between two signals, if the machine keeps up."""
SAFETY: Final[tuple[Safety, ...]] = ("off", "off", "debug")
QUIET: Final = 400
"""Rounds without a place that is new, after which there is none left."""
SECONDS: Final = 45.0

Place = tuple[tuple[CodeType, int], ...]
"""Where a handler ran: each function of the pool's on the stack, and how far that was."""


class Storm:
    """Signals, and the handler that raises once wherever it has not been before."""

    def __init__(self) -> None:
        self.places: set[Place] = set()
        self.signals = 0
        self.last = ""
        self._armed = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        """The handler."""
        self.signals += 1
        if not self._armed:
            return
        place = _place(frame)
        if place and place not in self.places:
            self.places.add(place)
            self._armed = False
            self.last = _named(place)
            raise Interrupt

    def over(self, work: Callable[[], None]) -> bool:
        """Do some work in the storm; whether it was interrupted."""
        self._armed = True
        signal.setitimer(signal.ITIMER_REAL, EVERY, EVERY)
        try:
            work()
        except Interrupt:
            return True
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            self._armed = False
        return False

    def __enter__(self) -> Storm:
        self._before = signal.signal(signal.SIGALRM, self.handle)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGALRM, self._before)


def _place(frame: FrameType | None) -> Place:
    """Where in the pool's code it is; () elsewhere, and in a finalizer."""
    found: list[tuple[CodeType, int]] = []
    while frame is not None and _is_ours(frame.f_code):
        if frame.f_code.co_name == "__del__":
            return ()
        found.append((frame.f_code, frame.f_lasti))
        frame = frame.f_back
    return tuple(found)


def _is_ours(code: CodeType) -> bool:
    return code.co_filename.startswith(FOLDER) or code in BROKEN


def _named(place: Place) -> str:
    (code, at), *callers = place
    line = next((n for a, b, n in code.co_lines() if a <= at < b), 0)
    by = f", called by {callers[0][0].co_qualname}" if callers else ""
    return f"{code.co_qualname}:{line}{by}"


# ------------------------------------------------------------------------------ seeded bugs


class Unshielded:
    """A lock in Python: a signal may be noticed between its being taken and the `with`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def locked(self) -> bool:
        """Whether it is taken."""
        return self._lock.locked()


BROKEN: Final = {Unshielded.__enter__.__code__}
"""Broken copies' own code, which is to be interrupted as well."""


def lock_in_python(pool: BodyPool) -> None:
    """The lock's taking is two steps."""
    pool.__dict__["_lock"] = Unshielded()


def recycling_calls(pool: BodyPool) -> None:
    """Recycling stores a part, and then calls."""
    recycle = pool.recycle

    def in_two_steps(slot: Slot, guard: Guard) -> list[bytearray] | None:
        guard.armed = False
        return recycle(slot, guard)

    BROKEN.add(in_two_steps.__code__)
    pool.__dict__["recycle"] = in_two_steps


def put_calls(pool: BodyPool) -> None:
    """A block is returned by a call, after which the caller doesn't know whether it was."""

    def put(block: bytearray) -> None:
        pool.blocks._idle.append(block)

    BROKEN.add(put.__code__)
    pool.blocks.__dict__["put"] = put


def nothing_deferred(pool: BodyPool) -> None:
    """What an interrupt kept from being done is forgotten."""
    pool.__dict__["defer"] = lambda action: None


SEEDS: Final = (lock_in_python, recycling_calls, put_calls, nothing_deferred)


# ------------------------------------------------------------------------------ the storm


@dataclass
class Weathered:
    """What a storm came to."""

    rounds: int = 0
    places: set[Place] = field(default_factory=set)
    signals: int = 0
    wrong: dict[str, str] = field(default_factory=dict)
    """What was wrong after an interrupt, by where that came."""

    def inside(self) -> int:
        """How many of the places are within a locked section, or below one."""
        return sum(any(code in SECTIONS for code, _ in place) for place in self.places)

    def missed(self) -> list[str]:
        """Locked sections that no interrupt fell into."""
        inside = {code for place in self.places for code, _ in place}
        return sorted(code.co_qualname for code in SECTIONS - inside)


def weather(
    seed: Callable[[BodyPool], None] | None = None, enough: int = 0, seconds: float = SECONDS
) -> Weathered:
    """Work in the storm until no place is new, or until so much is wrong, if that isn't 0.

    To be called in the main thread, which is the one that signals interrupt.
    """
    seen, storm, quiet = Weathered(), Storm(), 0
    deadline = time.monotonic() + seconds
    chance = random.Random(445)
    with warnings.catch_warnings(), storm:
        # Bodies are forgotten on purpose.
        warnings.simplefilter("ignore", ResourceWarning)
        while quiet < QUIET and time.monotonic() < deadline:
            work, safety = chance.choice(WORK), chance.choice(SAFETY)
            scene = Scene(safety)
            if seed is not None:
                seed(scene.pool)
            before = len(storm.places)
            interrupted = storm.over(partial(work, scene))
            quiet = 0 if len(storm.places) > before else quiet + 1
            seen.rounds += 1
            told = wrong(scene)
            if told:
                seen.wrong.setdefault(storm.last if interrupted else "nowhere", told)
            if enough and len(seen.wrong) >= enough:
                break
    seen.places, seen.signals = storm.places, storm.signals
    return seen


def complaint() -> str:
    """The first thing that goes wrong, "" for nothing."""
    for where, told in weather(enough=1).wrong.items():
        return f"{told}; interrupted at {where}"
    return ""


# ----------------------------------------------------------------------------------------- rows


def rows() -> Iterator[Row]:
    """The real pool in the storm, and broken copies that it must find out."""
    started = time.perf_counter()
    seen = weather()
    missed = tuple(f"no interrupt fell into {name}" for name in seen.missed())
    yield Row(
        f"{len(seen.places)} interrupts by real signals, {seen.inside()} of them in locked "
        "sections, leave no lock taken, no slot half done, no reader asleep; all comes back",
        f"a storm of {seen.signals:,} signals; the handler raises once at each place that it meets",
        Verdict.REFUTED if seen.wrong else Verdict.UNKNOWN if missed else Verdict.CONFIRMED,
        f"{seen.rounds:,} rounds of work, in one thread, one interrupt each; every section met",
        time.perf_counter() - started,
        "a second interrupt within the handling of the first, one in a finalizer, or in the server",
        (*(f"{told}; interrupted at {where}" for where, told in seen.wrong.items()), *missed),
    )
    yield from map(_seeded, SEEDS)


def _seeded(seed: Callable[[BodyPool], None]) -> Row:
    started = time.perf_counter()
    seen = weather(seed, enough=1)
    told = "; ".join(seen.wrong.values())
    return Row(
        f"a copy with {seed.__name__.replace('_', ' ')} is found out: {told or 'NOT'}",
        f"the same storm, round {seen.rounds:,}",
        Verdict.CONFIRMED if told else Verdict.UNKNOWN,
        f"at most {SECONDS:g} s",
        time.perf_counter() - started,
        "that every mistake of this kind would be found",
        ("not found: this run of the real pool says little",),
    )


def main() -> None:
    """Print the rows."""
    for row in rows():
        print("\n".join(row.lines()), flush=True)


if __name__ == "__main__":
    main()
