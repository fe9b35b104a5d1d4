"""Walk a counterexample on real threads and tasks: one step at a time, in exactly its order.

Code is marked where the model's steps begin: ``replay.at("load", p=0)`` before the line that does
the action ``load`` of ``p=0``. While nobody replays, a mark does nothing. :func:`follow` starts the
parties, keeps each at its marks, and lets one go on at a time, as the trace says; a step is over
when its party stands at its next mark, or has ended. So one party runs at any moment, and a replay
comes out the same each time.

Code that refuses to follow (it stands at another mark, has ended, or is blocked) is no error but an
outcome: "trace no longer possible at step k". That is what a fix looks like.
"""

from __future__ import annotations

import asyncio
import difflib
import queue
import sys
import threading
import time
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from nbio.verify.marks import Abandoned, Move, Party, Phase, ReplayError, at, blocking, reached

if TYPE_CHECKING:
    from nbio.verify.runs import TraceStep
    from nbio.verify.spec import Model

PATIENCE: Final = 10.0
"""Seconds a party may take from one mark to the next before it counts as blocked."""

Task = Callable[[], Coroutine[object, object, object]]


def moves(trace: Iterable[TraceStep | Move]) -> list[Move]:
    """A checker's trace (``report.result("exclusive").trace``) as moves."""
    found = []
    for step in trace:
        if isinstance(step, Move):
            found.append(step)
        elif step.instance is not None:
            action, values = step.instance.action, step.instance.values
            params = {name: v for (name, _), v in zip(action.params, values, strict=True)}
            found.append(Move(action.name, params, action.fill(action.actor, values)))
    return found


@dataclass(frozen=True)
class Refusal:
    """Step number ``step`` (the first is 1) was not taken: what was expected, and what came."""

    step: int
    expected: str
    came: str

    def __str__(self) -> str:
        return (
            f"trace no longer possible at step {self.step}: expected {self.expected}, {self.came}"
        )


@dataclass(frozen=True)
class Outcome:
    """How a replay came out. Two are equal where their steps, refusals and ends are.

    ``ends`` says how each party ended, in words: ``"returned 3"``, ``"raised KeyError: 'x'"``,
    ``"was stopped at put(r=0)"``, ``"never began"``. ``errors`` holds what parties raised,
    ``returned`` what they returned.
    """

    steps: int
    refusal: Refusal | None
    ends: Mapping[str, str]
    errors: Mapping[str, BaseException] = field(compare=False)
    returned: Mapping[str, object] = field(compare=False)

    @property
    def complete(self) -> bool:
        """Whether the code took every step of the trace."""
        return self.refusal is None

    def __str__(self) -> str:
        first = str(self.refusal) if self.refusal else f"followed all {self.steps} steps"
        return "\n".join([first, *(f"  {name} {end}" for name, end in self.ends.items())])


def follow(
    trace: Iterable[TraceStep | Move],
    *,
    threads: Mapping[str, Callable[[], object]] | None = None,
    tasks: Mapping[str, Task] | None = None,
    party: Callable[[Move], str] | None = None,
    does: Mapping[str, Callable[[Move], object]] | None = None,
    skip: Collection[str] = (),
    model: Model | None = None,
    patience: float = PATIENCE,
    then: Literal["stop", "finish"] = "stop",
) -> Outcome:
    """Run the parties in the order of ``trace``.

    ``threads`` and ``tasks`` are the parties by name, each begun when its first step is due; tasks
    share an event loop of their own, in a thread beside the caller's. ``party`` names the party of
    a step; without it, it is the step's actor. Steps of actions in ``does`` are done by calling
    what stands there, in the caller's thread; those in ``skip`` have no counterpart in the code.
    With ``model``, a mark that names none of its actions is an error, not a refusal.

    After the last step, or the first that is refused, parties that still stand at marks are unwound
    (``then="stop"``) or run on to their ends, one after the other (``"finish"``). A party that does
    not come to another mark within ``patience`` seconds has refused: it is blocked. Raises
    :class:`ReplayError` for a step without a party, a mark that can't be meant, and threads that
    can't be ended; what a ``does`` raises comes through.
    """
    walk = _Walk(moves(trace), party or _actor, dict(does or {}), frozenset(skip), patience)
    walk.add(dict(threads or {}), dict(tasks or {}))
    walk.learn(model)
    try:
        refusal = walk.all_steps()
        if then == "finish":
            walk.finish()
    finally:
        walk.stop()
    return walk.outcome(refusal)


def _actor(move: Move) -> str:
    return move.actor


class _Walk:
    """One replay: the driver's side."""

    def __init__(
        self,
        steps: Sequence[Move],
        party: Callable[[Move], str],
        does: Mapping[str, Callable[[Move], object]],
        skip: Collection[str],
        patience: float,
    ) -> None:
        self.stopping = False
        self.free = False
        self._steps, self._name_of, self._does, self._skip = steps, party, does, skip
        self._patience = patience
        self._news = queue.SimpleQueue[None]()
        self._parties: dict[str, Party] = {}
        self._begin: dict[str, Callable[[], None]] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._loop: _Loop | None = None
        self._actions: dict[str, set[str]] = {}
        self._closed = False
        self._trouble: ReplayError | None = None

    # ------------------------------------------------------------------------- set-up

    def add(self, threads: Mapping[str, Callable[[], object]], tasks: Mapping[str, Task]) -> None:
        """The parties; each step must have one."""
        if both := sorted(threads.keys() & tasks.keys()):
            raise ReplayError(f"{', '.join(both)}: a party is a thread or a task, not both")
        for name, body in threads.items():
            self._parties[name] = Party(name, False, self)
            self._threads[name] = threading.Thread(
                target=self._parties[name].run, args=(body,), name=f"replay {name}", daemon=True
            )
            self._begin[name] = self._threads[name].start
        for name, task in tasks.items():
            self._parties[name] = Party(name, True, self)
            self._begin[name] = self._beginner(name, task)
        for number, move in enumerate(self._steps, 1):
            mapped = move.action in self._skip or move.action in self._does
            if not mapped and self._name_of(move) not in self._parties:
                known = ", ".join(self._parties) or "none"
                raise ReplayError(
                    f"step {number}, {move} of {move.actor or 'no actor'}, has no party "
                    f"{self._name_of(move)!r} (there are: {known}). Name one with party=, do the "
                    f"action yourself with does=, or skip= it"
                )

    def _beginner(self, name: str, body: Task) -> Callable[[], None]:
        def create() -> None:
            life = self._parties[name].run_aside(body)
            self._tasks[name] = asyncio.get_running_loop().create_task(life, name=f"replay {name}")

        def begin() -> None:
            self._loop = self._loop or _Loop(self._patience)
            self._loop.loop.call_soon_threadsafe(create)

        return begin

    def learn(self, model: Model | None) -> None:
        """What marks can be meant: the trace's actions and their parameters, or the model's."""
        for move in self._steps:
            self._actions.setdefault(move.action, set()).update(move.params)
        if model is not None:
            self._closed = True
            for action in model.actions:
                self._actions[action.name] = {name for name, _ in action.params}

    # ------------------------------------------------------- asked by parties, on their threads

    def news(self) -> None:
        """A party's phase has changed."""
        self._news.put(None)

    def in_loop(self) -> bool:
        """Whether the calling thread is the one with the event loop."""
        return self._loop is not None and threading.current_thread() is self._loop.thread

    def seen(self, mark: Move) -> None:
        """Refuse a mark that can't be meant: a misspelt one would pass for a fix."""
        known = self._actions.get(mark.action)
        if known is None and self._closed:
            near = difflib.get_close_matches(mark.action, self._actions, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise self.misused(f"the mark {mark} names no action of the model{hint}")
        if known is not None and (strange := sorted(mark.params.keys() - known)):
            has = ", ".join(sorted(known)) or "none"
            raise self.misused(
                f"the mark {mark} gives {', '.join(strange)}, but {mark.action} has no such "
                f"parameter; it has: {has}"
            )

    def misused(self, why: str) -> ReplayError:
        """The error, noted for the driver to raise."""
        self._trouble = self._trouble or ReplayError(why)
        self.news()
        return self._trouble

    # -------------------------------------------------------------------------- the walk

    def all_steps(self) -> Refusal | None:
        """Take the steps in order, up to the first that is refused."""
        for number, move in enumerate(self._steps, 1):
            if move.action in self._skip:
                continue
            if move.action in self._does:
                self._does[move.action](move)
                continue
            party = self._parties[self._name_of(move)]
            if came := self._take(party, move):
                return Refusal(number, f"{party.name} at {move}", came)
        return None

    def _take(self, party: Party, move: Move) -> str:
        """One step of a party; what came instead, or nothing."""
        if party.phase in (Phase.NEW, Phase.BLOCKED) and (came := self._go_on(party)):
            return came
        if party.phase is not Phase.STANDING or not _means(party.mark, move):
            return f"but {party.where()}"
        return self._go_on(party)

    def _go_on(self, party: Party) -> str:
        """Let a party go on to its next mark; what hinders it, or nothing."""
        for other in self._parties.values():
            if other.holds_loop and party.is_task and other is not party:
                return f"but {other.where()} and holds up the event loop that {party.name} needs"
        if party.phase is Phase.NEW:
            party.phase = Phase.RUNNING
            self._begin[party.name]()
        else:
            party.go()
        if self._settled(party):
            return ""
        return (
            f"but {party.name} came to no other mark within {self._patience:g} s"
            f"{self._place(party)}"
        )

    def _settled(self, party: Party) -> bool:
        """Wait for a running party to stand, block or end."""
        deadline = time.monotonic() + self._patience
        while party.phase is Phase.RUNNING:
            try:
                self._news.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return False
        if self._trouble:
            raise self._trouble
        return True

    def _place(self, party: Party) -> str:
        thread = self._threads.get(party.name)
        frame = sys._current_frames().get(thread.ident or 0) if thread else None
        while frame and frame.f_globals.get("__name__") in _PLUMBING:
            frame = frame.f_back
        if frame is None:
            return ""
        code = frame.f_code
        return f"; it is in {code.co_qualname}, {code.co_filename}:{frame.f_lineno}"

    # --------------------------------------------------------------------------- the end

    def finish(self) -> None:
        """Marks no longer hold; parties run to their ends, one after the other."""
        self.free = True
        for phase in (Phase.STANDING, Phase.BLOCKED):
            for party in self._parties.values():
                if party.phase is phase:
                    party.go()
                    self._settled(party)

    def stop(self) -> None:
        """Unwind whoever stands or waits; ReplayError where a thread doesn't end."""
        self.stopping = True
        begun = [p for p in self._parties.values() if p.phase not in (Phase.NEW, Phase.OVER)]
        for party in begun:
            party.stopped = party.phase
            waits = party.phase is not Phase.STANDING
            if party.phase is not Phase.RUNNING:
                party.go()
            task = self._tasks.get(party.name)
            if waits and task is not None and self._loop is not None:
                self._loop.loop.call_soon_threadsafe(task.cancel)
        deadline = time.monotonic() + self._patience
        left = [p for p in begun if not self._ended(p, deadline)]
        if self._loop is not None and not self._loop.close(deadline):
            raise ReplayError(f"the event loop of the tasks did not end: {self._who(left)}")
        if left:
            raise ReplayError(
                f"not ended {self._patience:g} s after the replay: {self._who(left)}. What a party "
                f"waits for must be given to it by a party, or have a timeout"
            )

    def _ended(self, party: Party, deadline: float) -> bool:
        thread = self._threads.get(party.name)
        if thread is not None:
            thread.join(max(0.0, deadline - time.monotonic()))
            return not thread.is_alive()
        while party.phase is not Phase.OVER:
            try:
                self._news.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return False
        return True

    def _who(self, left: Sequence[Party]) -> str:
        return ", ".join(f"{p.name}{self._place(p)}" for p in left) or "something it started"

    def outcome(self, refusal: Refusal | None) -> Outcome:
        """What came of it."""
        parties = self._parties.values()
        errors = {p.name: p.error for p in parties if p.error is not None and not p.unwound}
        returned = {p.name: p.value for p in parties if p.phase is Phase.OVER and p.error is None}
        return Outcome(
            len(self._steps), refusal, {p.name: p.end() for p in parties}, errors, returned
        )


_PLUMBING: Final = ("threading", "queue", "nbio.verify.marks", __name__)


def _means(mark: Move | None, move: Move) -> bool:
    """A mark gives as many of the step's parameters as its code knows."""
    if mark is None or mark.action != move.action:
        return False
    return all(move.params.get(name) == value for name, value in mark.params.items())


class _Loop:
    """An event loop in a thread of its own, for the tasks."""

    def __init__(self, patience: float) -> None:
        self.loop = asyncio.new_event_loop()
        self._closing = asyncio.Event()
        self.thread = threading.Thread(target=self._run, name="replay event loop", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            runner.run(self._until_closed())

    async def _until_closed(self) -> None:
        await self._closing.wait()

    def close(self, deadline: float) -> bool:
        """Cancel what is left in it and end its thread; False where it doesn't end in time."""
        self.loop.call_soon_threadsafe(self._closing.set)
        self.thread.join(max(0.0, deadline - time.monotonic()))
        return not self.thread.is_alive()


__all__ = [
    "PATIENCE",
    "Abandoned",
    "Move",
    "Outcome",
    "Refusal",
    "ReplayError",
    "at",
    "blocking",
    "follow",
    "moves",
    "reached",
]
