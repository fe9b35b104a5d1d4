"""Marks in the code under replay, and the parties (threads, tasks) that stand at them.

The driver is in :mod:`nbio.verify.replay`, which offers the names that users need. Neither module
needs NumPy: code that is marked can be installed without it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol


class ReplayError(Exception):
    """A replay was set up wrongly, or left a thread behind; the message says what to mend."""


class Abandoned(BaseException):
    """Raised at a mark once the replay is over, so that the party unwinds and ends."""


@dataclass(frozen=True)
class Move:
    """One step of a trace: an action at its parameters, and who does it."""

    action: str
    params: Mapping[str, int] = field(default_factory=dict)
    actor: str = ""

    def __str__(self) -> str:
        return f"{self.action}({', '.join(f'{k}={v}' for k, v in self.params.items())})"


# ------------------------------------------------------------------------ for marked code

_PARTY: ContextVar[Party | None] = ContextVar("nbio.verify.replay.party", default=None)


def at(action: str, /, **params: int) -> None:
    """Here begins the step ``action``; ``params`` are those of its parameters that the code knows.

    Does nothing while nobody replays (about 0.1 us). In a task this holds up the whole event loop,
    as the synchronous code that it stands in does: where a task can be interrupted, use
    :func:`reached`.
    """
    party = _PARTY.get()
    if party is not None:
        party.stand(Move(action, params))


async def reached(action: str, /, **params: int) -> None:
    """:func:`at` for tasks: while one stands here, others of its event loop can go on."""
    party = _PARTY.get()
    if party is not None:
        await party.stand_aside(Move(action, params))


class blocking:
    """Around a call that waits for another party: the step is over where the wait begins.

    ``with replay.blocking(): ready.wait()``, or ``async with`` in a task. When the wait is over the
    party stays here until its next step is due.
    """

    def __enter__(self) -> None:
        if party := _PARTY.get():
            party.block(Turnstile())

    def __exit__(self, *_: object) -> None:
        if party := _PARTY.get():
            party.unblock()

    async def __aenter__(self) -> None:
        if party := _PARTY.get():
            party.block(AsideTurnstile())

    async def __aexit__(self, *_: object) -> None:
        if party := _PARTY.get():
            await party.unblock_aside()


# ------------------------------------------------------------------------------ parties


class Turnstile:
    """Lets one thread through, once, when the driver says so."""

    def __init__(self) -> None:
        self._shut = threading.Lock()
        self._shut.acquire()

    def open(self) -> None:
        """From the driver's thread."""
        self._shut.release()

    def wait(self) -> None:
        """Until it is open; the driver opens every one before it ends."""
        self._shut.acquire()


class AsideTurnstile:
    """Lets one task through, once; other tasks of its loop run meanwhile."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._opened = asyncio.Event()

    def open(self) -> None:
        """From the driver's thread."""
        self._loop.call_soon_threadsafe(self._opened.set)

    async def wait(self) -> None:
        """Until it is open."""
        await self._opened.wait()


class Phase(Enum):
    """What a party is doing, in the words of a refusal."""

    NEW = "has not begun"
    RUNNING = "runs"
    STANDING = "stands at"
    BLOCKED = "waits for another party since"
    OVER = "has ended"


class Driver(Protocol):
    """What a party needs of its driver."""

    stopping: bool
    free: bool

    def news(self) -> None:
        """A party's phase has changed."""

    def seen(self, mark: Move) -> None:
        """A party comes to ``mark``; ReplayError where there can be no such."""

    def misused(self, why: str) -> ReplayError:
        """The error, noted for the driver to raise."""

    def in_loop(self) -> bool:
        """Whether the calling thread is the one with the event loop."""


class Party:
    """A thread or a task of the code under replay, and where it stands.

    Its phase is set to RUNNING by the driver alone and to anything else by the party alone, so that
    at each moment one of the two owns it.
    """

    def __init__(self, name: str, is_task: bool, driver: Driver) -> None:
        self.name, self.is_task, self._driver = name, is_task, driver
        self.phase = Phase.NEW
        self.mark: Move | None = None
        self.holds_loop = False
        self.stopped: Phase | None = None
        self.value: object = None
        self.error: BaseException | None = None
        self._turnstile: Turnstile | AsideTurnstile | None = None

    # ------------------------------------------------------- on its own thread or loop

    def stand(self, mark: Move) -> None:
        """Stop at a mark until the driver lets it go on."""
        if self._comes_to(mark):
            turnstile = Turnstile()
            self.holds_loop = self._driver.in_loop()
            self._enter(Phase.STANDING, turnstile)
            turnstile.wait()
            self._leave()

    async def stand_aside(self, mark: Move) -> None:
        """Stop at a mark, and let the loop's other tasks run."""
        if self._comes_to(mark):
            turnstile = AsideTurnstile()
            self._enter(Phase.STANDING, turnstile)
            await turnstile.wait()
            self._leave()

    def block(self, turnstile: Turnstile | AsideTurnstile) -> None:
        """From here on it waits for somebody else."""
        if not self._driver.free:
            self._leave()
            self._enter(Phase.BLOCKED, turnstile)

    def unblock(self) -> None:
        """Its wait is over; stay until the next step is due."""
        if self.phase is Phase.BLOCKED and isinstance(self._turnstile, Turnstile):
            self._turnstile.wait()
        self._leave()

    async def unblock_aside(self) -> None:
        """:meth:`unblock` in a task."""
        if self.phase is Phase.BLOCKED and isinstance(self._turnstile, AsideTurnstile):
            await self._turnstile.wait()
        self._leave()

    def run(self, body: Callable[[], object]) -> None:
        """A thread's whole life."""
        _PARTY.set(self)
        try:
            self.value = body()
        except BaseException as error:
            self.error = error
        self._enter(Phase.OVER, None)

    async def run_aside(self, body: Callable[[], Coroutine[object, object, object]]) -> None:
        """A task's whole life. A cancellation is an end like any other, to be reported."""
        _PARTY.set(self)
        try:
            self.value = await body()
        except BaseException as error:
            self.error = error
        self._enter(Phase.OVER, None)

    def _comes_to(self, mark: Move) -> bool:
        if self._driver.free:
            return False
        self._leave()
        if self.phase is not Phase.RUNNING:
            raise self._driver.misused(
                f"{self.name} {self.phase.value} {self.mark} and comes to {mark} as well: code "
                f"that runs beside it needs a name of its own among the threads or tasks"
            )
        self._driver.seen(mark)
        self.mark = mark
        return True

    def _enter(self, phase: Phase, turnstile: Turnstile | AsideTurnstile | None) -> None:
        self._turnstile = turnstile
        self.phase = phase
        self._driver.news()

    def _leave(self) -> None:
        self.holds_loop = False
        if self._driver.stopping:
            raise Abandoned

    # ------------------------------------------------------------ on the driver's thread

    def go(self) -> None:
        """Let it go on from where it stands, or (once it is woken) from where it waits."""
        turnstile, self._turnstile = self._turnstile, None
        self.phase = Phase.RUNNING
        if turnstile is not None:
            turnstile.open()

    def where(self) -> str:
        """``handler 0 stands at put(r=0)``."""
        if self.phase is Phase.OVER:
            return f"{self.name} {self.end()}"
        mark = self.mark if self.phase in (Phase.STANDING, Phase.BLOCKED) else ""
        return f"{self.name} {self.phase.value} {mark}".rstrip()

    def end(self) -> str:
        """How it ended, in words."""
        if self.phase is Phase.NEW:
            return "never began"
        if self.error is None:
            return "returned" if self.value is None else f"returned {self.value!r}"
        if self.unwound:
            stood = self.stopped is Phase.STANDING
            place = f"{'at' if stood else 'after'} {self.mark}" if self.mark else "before its marks"
            return f"was stopped {place}"
        said = str(self.error)
        return f"raised {type(self.error).__name__}" + (f": {said}" if said else "")

    @property
    def unwound(self) -> bool:
        """Whether the driver ended it (in the phase that is noted in ``stopped``)."""
        ends = isinstance(self.error, Abandoned | asyncio.CancelledError)
        return self.stopped is not None and ends
