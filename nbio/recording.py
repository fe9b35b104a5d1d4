"""A pool's lifecycle events on record: one JSON line each, to be replayed against the model.

A pool that records runs the very code of every other pool; only the transition functions that it
calls are exchanged, for ones that also note what they were given and what it came to. So a pool
that doesn't record pays nothing. A note is one tuple, appended to a deque under the slot's lock;
a thread of the recorder's own encodes and writes.

The first line has the pool's marks, each other line one event: `slot`, `seq` (the slot's own
count), `time` (seconds, monotonic), `thread`, the `generation` that was presented, `event`, its
parameters, and the `outcome`. The last line says that the record was `closed`, or that it
`overflowed`.
"""

import inspect
import itertools
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FunctionType, SimpleNamespace
from typing import Final, TextIO, TypeAlias

from nbio import _lifecycle
from nbio.body import BodyReader
from nbio.errors import NbioError
from nbio.handle import Handle
from nbio.leaks import Guard
from nbio.pool import BodyPool, Slot
from nbio.sections import Lock
from nbio.variant import COMPILED

VERSION: Final = 1
LIMIT: Final = 1 << 17
"""Events that may wait for the writer; one more, and the record ends."""
PERIOD: Final = 0.05
"""Seconds between two looks of the writer."""
BASE: Final = 32
"""A recorded slot's generations begin at its number, shifted by so many bits: a transition
function is told the generation and not the slot, and this way it says both."""

Step: TypeAlias = Callable[..., tuple[int, ...]]
Line: TypeAlias = dict[str, int | float | str | bool]
Note: TypeAlias = tuple[float, int, str, tuple[int, ...], int]
"""Time, thread, event, the function's arguments, the outcome."""


class Recorder:
    """Writes the events of one pool to a file. Raises OSError where that can't be written.

    Where more than `limit` events wait for the writer the record ends there, and says so. Raises
    NbioError where nbio is compiled: nothing in compiled functions can be exchanged.
    """

    def __init__(self, path: str | Path, limit: int = LIMIT) -> None:
        if COMPILED:
            raise NbioError(
                "a compiled pool can't be recorded: set NBIO_PURE=1, and the source runs instead"
            )
        self._path = Path(path)
        self._path.write_bytes(b"")
        self._file: TextIO | None = None
        self._limit = limit
        self._overflowed = False
        self._notes: deque[Note] = deque()
        self._numbers = itertools.count()
        self._counts: dict[int, int] = {}
        self._pool: BodyPool | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def pool_class(self) -> type[BodyPool]:
        """The class of the pool to record, of which to make one."""
        steps = SimpleNamespace(**vars(_lifecycle))
        for name in _lifecycle.EVENTS:
            setattr(steps, name, self._noting(name, getattr(_lifecycle, name)))
        steps.acquire = self._noting_acquire()
        exchanged: dict[str, object] = {"_lifecycle": steps, "Slot": self._slot}
        body = {**rebound(Handle, exchanged), **rebound(BodyReader, exchanged)}
        exchanged["BodyReader"] = type("RecordedBody", (BodyReader,), {"__slots__": (), **body})
        guard = type("RecordedGuard", (Guard,), {"__slots__": ()})
        exchanged["Guard"] = guard
        for name, function in rebound(Guard, exchanged).items():
            setattr(guard, name, function)
        return type("RecordedPool", (BodyPool,), rebound(BodyPool, exchanged))

    def start(self, pool: BodyPool) -> None:
        """Record what happens to this pool, made of `pool_class`, from now on."""
        self._pool = pool
        self._file = file = self._path.open("w", encoding="utf-8")
        write(file, {"nbio-trace": VERSION, "high": pool.high_water, "low": pool.low_water})
        self._thread = threading.Thread(
            target=self._run, args=(file,), name="nbio-recorder", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Write what was noted, and close the file. Idempotent; later events go unrecorded."""
        self._limit = 0
        self._stop.set()
        file, thread = self._file, self._thread
        if file is not None and thread is not None and not file.closed:
            thread.join()
            self._drain(file)
            write(file, {"overflowed": True} if self._overflowed else {"closed": True})
            file.close()

    # Under the pool's lock.

    def _slot(self, lock: Lock) -> Slot:
        slot = Slot(lock)
        slot.generation = next(self._numbers) << BASE
        return slot

    def _noting(self, event: str, step: Step) -> Step:
        def noted(*given: int) -> tuple[int, ...]:
            result = step(*given)
            self._note(event, given, result[0])
            return result

        return noted

    def _noting_acquire(self) -> Step:
        """That function isn't told a generation; the slot is the pool's next one."""

        def noted(state: int) -> tuple[int, ...]:
            result = _lifecycle.acquire(state)
            assert self._pool is not None, "the recorder was started with its pool"
            self._note("acquire", (state, self._pool._idle[-1].generation), result[0])
            return result

        return noted

    def _note(self, event: str, given: tuple[int, ...], outcome: int) -> None:
        if len(self._notes) < self._limit:
            note = (time.monotonic(), threading.get_ident(), event, given, outcome)
            self._notes.append(note)
        elif self._limit:
            # A record with a hole says nothing about what follows it.
            self._limit, self._overflowed = 0, True

    # In the recorder's own thread.

    def _run(self, file: TextIO) -> None:
        while not self._stop.wait(PERIOD):
            self._drain(file)

    def _drain(self, file: TextIO) -> None:
        """Write what is there, in the order in which it happened."""
        notes = self._notes
        for _ in range(len(notes)):
            write(file, self._line(notes.popleft()))
        file.flush()

    def _line(self, note: Note) -> Line:
        moment, thread, event, given, outcome = note
        named = dict(zip(TAKES[event], given, strict=True))
        slot, generation = divmod(named["presented"], 1 << BASE)
        seq = self._counts.get(slot, 0)
        self._counts[slot] = seq + 1
        return {
            "slot": slot,
            "seq": seq,
            "time": round(moment, 6),
            "thread": thread,
            "generation": generation,
            "event": event,
            **{name: named[name] for name in PARAMETERS if name in named},
            "outcome": _lifecycle.OUTCOMES[outcome],
        }


PARAMETERS: Final = ("kind", "blocks", "freed")
"""What an event is given besides the slot's fields, the generation and the pool's marks."""


def write(file: TextIO, line: Line) -> None:
    """Write one line."""
    file.write(json.dumps(line, separators=(",", ":")) + "\n")


def takes(event: str) -> tuple[str, ...]:
    """The names of what an event's function is given, in order."""
    return tuple(inspect.signature(getattr(_lifecycle, event)).parameters)


TAKES: Final = {event: takes(event) for event in _lifecycle.EVENTS} | {
    "acquire": (*takes("acquire"), "presented")
}


def rebound(cls: type, exchanged: Mapping[str, object]) -> dict[str, FunctionType]:
    """The functions of a class that use one of the exchanged globals, as ones that use ours.

    Their code stays the same object, so the sections among them stay registered.
    """
    found: dict[str, FunctionType] = {}
    for name, function in vars(cls).items():
        if isinstance(function, FunctionType) and exchanged.keys() & {*function.__code__.co_names}:
            own = {**function.__globals__, **exchanged}
            copy = FunctionType(
                function.__code__, own, name, function.__defaults__, function.__closure__
            )
            copy.__kwdefaults__ = function.__kwdefaults__
            found[name] = copy
    return found
