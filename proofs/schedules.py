"""The real pool, unmodified, under every schedule of two or three threads that matters.

frontrun runs the threads under its own scheduler and, by dynamic partial-order reduction, takes
every order of conflicting accesses (`preemption_bound=None`). Each scenario has a seeded race, the
same with the lock taken out, which the same harness must catch: a scenario whose race it can't see
counts as UNKNOWN, and so does one that is undecided or had a single interleaving.

frontrun does not see into a `deque`, whose single operations are atomic; here the block pool's is
replaced by one that takes a lock for each operation, so that their orders are explored too. Nor
does it understand a lock that one thread takes and another gives back: a sleeper's is a semaphore.

It must be started by its own command, so `rows` runs this module as a process of its own.
"""

import gc
import json
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import nbio.body
from nbio._lifecycle import COPY, OK
from nbio.blocks import BlockPool
from nbio.body import BodyReader
from nbio.errors import BodyClosedError, BodyError
from nbio.pool import BodyPool
from nbio.verify.engine import Verdict
from nbio.waiters import ThreadWaiter
from proofs.abstraction import NOW
from proofs.counterparts import Engine, FlaggedReader, Reader, ReaderPool
from proofs.ledger import Row

SECONDS: Final = 180.0
"""Given to one scenario; they take a second or so."""
SIZE: Final = 4


class NoLock:
    """A lock that locks nothing: the seeded race."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass

    def locked(self) -> bool:
        """Never."""
        return False


class SeenDeque(deque[bytearray]):
    """A deque whose operations frontrun sees: each is atomic, in any order."""

    def __init__(self, atomic: bool) -> None:
        super().__init__()
        self.step: threading.Lock | NoLock = threading.Lock() if atomic else NoLock()
        self.size = 0

    def pop(self) -> bytearray:  # type: ignore[override]  # a deque's pop takes no index
        """Take the last one."""
        with self.step:
            size, block = self.size, self[-1]
            self.size = size - 1
            super().pop()
            return block

    def __iadd__(self, blocks: Iterable[bytearray]) -> Self:
        """Add some; the pool adds one at a time."""
        with self.step:
            size = self.size
            super().extend(blocks)
            self.size = size + 1
        return self


class SeenGate(ThreadWaiter):
    """A sleeping thread's gate, as a semaphore.

    The pool's is a lock that is taken twice, the second time until another thread opens it;
    frontrun takes that for a deadlock of the sleeper with itself.
    """

    __slots__ = ("_opened",)

    def __init__(self) -> None:
        self._opened = threading.Semaphore(0)

    def sleep(self, timeout: float | None) -> bool:
        """Sleep; False when ``timeout`` seconds passed first."""
        return self._opened.acquire(timeout=timeout)

    def wake(self) -> None:
        """Open it."""
        self._opened.release()


class Scene:
    """A pool with one body, as every scenario begins. `broken` takes the locks out."""

    def __init__(self, broken: bool, fed: int = 1, high: int = 4) -> None:
        blocks = BlockPool(SIZE, max_idle=4)
        self.pool = BodyPool(blocks, safety="off", high_water=high, low_water=high // 2)
        self.idle = SeenDeque(not broken)
        blocks.__dict__["_idle"] = self.idle
        blocks.__dict__["_taking"] = iter(self.idle.pop, None)
        if broken:
            self.pool.__dict__["_lock"] = NoLock()
        self.resumed = threading.Semaphore(0)
        self.body = self.acquire("first")
        self.body.feed(b"abcd" * fed)
        self.others: list[BodyReader] = []
        self.read: list[bytes] = []
        self.errors: list[str] = []

    def acquire(self, request: str) -> BodyReader:
        """Take a body whose feeder is told at once that it may go on."""
        return self.pool.acquire(request, loop=NOW, on_resume=self.resumed.release)

    def balanced(self) -> bool:
        """Everything is back, each slot in the pool once and each block in its pool once."""
        for body in (self.body, *self.others):
            body.release()
        stats, idle = self.pool.stats(), self.pool._idle
        blocks = list(self.idle)
        return (
            not self.errors
            and stats.outstanding == stats.blocks.outstanding == 0
            and stats.acquired == 1 + len(self.others)
            and len({id(s) for s in idle}) == len(idle) == len(self.pool._slots)
            and len({id(b) for b in blocks}) == len(blocks)
        )


def close(scene: Scene) -> None:
    """The handler's close."""
    scene.body.close()


def release(scene: Scene) -> None:
    """The framework's."""
    scene.body.release()


def read(scene: Scene) -> None:
    """A worker thread reads a piece: whole bytes of its own, or the typed error."""
    try:
        scene.read.append(scene.body.read_blocking(SIZE))
    except BodyClosedError:
        return
    except BodyError as error:
        scene.errors.append(repr(error))
    if scene.read and scene.read[-1] not in (b"abcd", b"efgh", b""):
        scene.errors.append(f"read {scene.read[-1]!r}")


def feed(scene: Scene) -> None:
    """The loop feeds one block."""
    scene.body.feed(b"efgh")


def finish(scene: Scene) -> None:
    """The loop sees the end."""
    scene.body.finish()


def unlease(scene: Scene) -> None:
    """A reader gives back the lease that it took before."""
    scene.body._unlease(SIZE)


def taking(scene: Scene) -> None:
    """A second request takes a body."""
    scene.others.append(scene.acquire("second"))


def another(scene: Scene) -> None:
    """A second request takes a body, feeds and reads it."""
    body = scene.acquire("second")
    scene.others.append(body)
    body.feed(b"wxyz")
    if body.read_blocking(SIZE) != b"wxyz":
        scene.errors.append("the second request read other bytes than its own")


def feeding(scene: Scene) -> None:
    """Feed a block, which is enough to be told to pause; wait for the resume, and end."""
    if not scene.body.feed(b"efgh"):
        scene.errors.append("not told to pause")
    scene.resumed.acquire()
    scene.body.finish()


def draining(scene: Scene) -> None:
    """Read to the end."""
    while data := scene.body.read_blocking(SIZE):
        scene.read.append(data)


def leased(broken: bool) -> Scene:
    """A scene whose body is being copied from."""
    scene = Scene(broken)
    if scene.body._lease(COPY) != OK:
        scene.errors.append("no lease")
    return scene


def full(broken: bool) -> Scene:
    """A scene whose body pauses its feeder at the first block, and resumes it when empty."""
    return Scene(broken, fed=0, high=1)


def all_read(scene: Scene) -> bool:
    """Balanced, and every byte that was fed was read."""
    return b"".join(scene.read) == b"efgh" and scene.balanced()


def empty(broken: bool) -> Scene:
    """A scene whose body has no bytes yet: a reader goes to sleep."""
    return Scene(broken, fed=0)


# ------------------------------------------------------------------------- historic designs


class Historic:
    """A historic reader, open for one request; another request comes."""

    def __init__(self, kind: type[Reader]) -> None:
        self.pool, self.engine, self.kind = ReaderPool(), Engine(), kind
        self.reader = self.pool.get(kind)
        self.reader.open(self.engine, b"mine")
        self.second: Reader | None = None

    def healthy(self) -> bool:
        """No reader is in the pool twice, and the second request has its own body."""
        idle = self.pool.idle
        second = self.second
        kept = second is None or (bytes(second.buffer or b"") == b"next" and second not in idle)
        return kept and len({id(r) for r in idle}) == len(idle)


def handler_then_release(scene: Historic) -> None:
    """An ordinary request's end."""
    scene.reader.close()
    scene.reader.close()


def next_request(scene: Historic) -> None:
    """A request that comes while the other ends."""
    reader = scene.pool.get(scene.kind)
    reader.open(scene.engine, b"next")
    scene.second = reader


# -------------------------------------------------------------------------------- exploring


@dataclass(frozen=True)
class Scenario:
    """Threads that run at once on what `setup` makes, and what must hold after all of them."""

    name: str
    threads: Sequence[Callable[[Scene], None]]
    setup: Callable[[bool], Scene] = Scene
    holds: Callable[[Scene], bool] = Scene.balanced


SCENARIOS: Final = (
    Scenario("close || close", (close, close)),
    Scenario("read || close", (read, close)),
    Scenario("acquire || acquire", (taking, taking)),
    Scenario("acquire || release", (taking, release)),
    Scenario("feed || close", (feed, close)),
    Scenario("release || read", (release, read)),
    Scenario("release || read || close", (release, read, close)),
    Scenario("unlease || close || acquire", (unlease, close, another), leased),
    Scenario("sleeping read || feed", (read, feed), empty),
    Scenario("sleeping read || finish", (read, finish), empty),
    Scenario("sleeping read || close", (read, close), empty),
    Scenario("feed || read with backpressure", (feeding, draining), full, all_read),
)


LONG: Final = (
    "feed || close",
    "release || read || close",
    "unlease || close || acquire",
    "sleeping read || feed",
    "feed || read with backpressure",
)
"""With more than ten interleavings; each of the others takes a tenth of a second."""


@dataclass(frozen=True)
class Explored:
    """What frontrun said: True, False or None (undecided), after so many interleavings."""

    holds: bool | None
    interleavings: int
    seconds: float
    why: str


def explore(
    setup: Callable[[], object], threads: object, holds: object, preemptions: int | None = None
) -> Explored:
    """One exploration; None: without a bound on preemptions."""
    import frontrun

    setattr(nbio.body, "ThreadWaiter", SeenGate)  # noqa: B010  # mypy refuses the assignment
    # A collection inside frontrun's own scheduler would run the pool's finalizers there, and stop
    # the search. What a collection at any line does is another test's business.
    gc.disable()
    started = time.perf_counter()
    try:
        found = frontrun.explore(
            setup=setup,
            workers=threads,
            invariant=holds,
            preemption_bound=preemptions,
            trace_packages=["nbio.*", "proofs.*"],
            detect_io=False,
            reproduce_on_failure=0,
            total_timeout=SECONDS,
            timeout_per_run=20.0,
        )
    except Exception as error:
        # What a thread raises, and no thread here should raise anything.
        seconds = time.perf_counter() - started
        return Explored(False, 0, seconds, f"{type(error).__name__}: {error}")
    finally:
        gc.enable()
        gc.collect()
    why = str(found.explanation or found.inconclusive_reason or "")
    seconds = time.perf_counter() - started
    verdict = found.property_holds
    if verdict and seconds >= SECONDS:
        # It says so also of a search that its time cut short.
        return Explored(None, found.num_explored, seconds, f"more than {SECONDS:g} s")
    return Explored(verdict, found.num_explored, seconds, why)


def complaint(scenario: Scenario) -> str:
    """What is wrong with the pool in some schedule of these threads, "" for nothing."""
    found = explore(lambda: scenario.setup(False), list(scenario.threads), scenario.holds)
    if found.holds:
        return ""
    said = " ".join(found.why.split()[-30:]) or "undecided"
    return f"P1, P5 and P8 under every schedule of {scenario.name}: {said}"


def judge(scenario: Scenario) -> dict[str, object]:
    """A scenario and its seeded race, as the line that the process prints."""
    threads = list(scenario.threads)
    real = explore(lambda: scenario.setup(False), threads, scenario.holds)
    # Without locks nearly everything conflicts; one switch at the wrong place is enough.
    seeded = explore(lambda: scenario.setup(True), threads, scenario.holds, preemptions=2)
    verdict = Verdict.UNKNOWN
    if real.holds is False:
        verdict = Verdict.REFUTED
    elif real.holds and real.interleavings > 1 and seeded.holds is False:
        verdict = Verdict.CONFIRMED
    return {
        "name": scenario.name,
        "verdict": verdict.name,
        "interleavings": real.interleavings,
        "seeded": seeded.holds,
        "seconds": real.seconds + seeded.seconds,
        "why": real.why if real.holds is not True else seeded.why,
    }


def judge_historic(name: str, kind: type[Reader]) -> dict[str, object]:
    """A historic design's counterpart, which must be caught."""
    threads = [handler_then_release, next_request]
    found = explore(lambda: Historic(kind), threads, Historic.healthy)
    return {
        "name": f"{name}'s counterpart is caught",
        "verdict": (Verdict.CONFIRMED if found.holds is False else Verdict.UNKNOWN).name,
        "interleavings": found.interleavings,
        "seeded": found.holds,
        "seconds": found.seconds,
        "why": found.why,
    }


def main() -> None:
    """Print one JSON line a scenario."""
    for scenario in SCENARIOS:
        print(json.dumps(judge(scenario)), flush=True)
    for name, kind in (("G1 (v1.5.11)", Reader), ("F1 (an atomic flag)", FlaggedReader)):
        print(json.dumps(judge_historic(name, kind)), flush=True)


# ------------------------------------------------------------------------------------- rows


def rows() -> Iterator[Row]:
    """One row a scenario."""
    frontrun = Path(sys.executable).with_name("frontrun")
    command = [str(frontrun), sys.executable, "-m", "proofs.schedules"]
    seen = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{"):
                seen += 1
                yield row(json.loads(line))
    if seen != len(SCENARIOS) + 2 or process.returncode:
        note = f"{seen} scenarios came back, exit code {process.returncode}"
        yield Row(
            "every schedule was run", "frontrun", Verdict.UNKNOWN, "-", 0.0, "anything", (note,)
        )


def row(found: dict[str, object]) -> Row:
    """A scenario's line of the ledger."""
    interleavings = found["interleavings"]
    historic = "counterpart" in str(found["name"])
    race = "" if historic else "; the same without its lock is caught"
    seconds = found["seconds"]
    return Row(
        f"{found['name']}: {interleavings} interleavings{race}",
        "frontrun, dynamic partial-order reduction, no bound on preemptions",
        Verdict[str(found["verdict"])],
        "these threads, once each",
        seconds if isinstance(seconds, float) else 0.0,
        "what happens inside C code (a deque's single operations), or between more threads",
        (f"seeded race: {found['seeded']}", *str(found["why"]).splitlines()[:20]),
    )


if __name__ == "__main__":
    main()
