"""Breadth-first search that expands a whole frontier per array operation.

Every reachable state is expanded exactly once, violating ones included, so that the counts of a
refuted claim do not depend on the order of the search. ``depth`` counts steps (TLC's figure is one
higher); ``generated`` counts initial states and every transition, as TLC does.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nbio.verify.columns import Columns, Truth
from nbio.verify.expr import BoolExpr, ModelError
from nbio.verify.ints import Interpreter
from nbio.verify.packing import Packing, Words
from nbio.verify.program import Instance, Program, State
from nbio.verify.spec import Model
from nbio.verify.symmetry import Symmetry, SymmetryError, symmetric_indices
from nbio.verify.visited import DENSE_LIMIT, DenseSet, HashedSet, Visited

CHUNK: Final = 1 << 17
"""States expanded together. An action is enabled in a tenth of them or so, and its updates are
computed on those alone: with smaller chunks NumPy's overhead per operation outweighs the work."""
DEADLOCK: Final = "deadlock"


class Verdict(IntEnum):
    """Ordered: a weaker result never hides a stronger one. Exit codes are 1, 3, 0."""

    REFUTED = 0
    UNKNOWN = 1
    CONFIRMED = 2

    @property
    def exit_code(self) -> int:
        """The process exit code that stands for this verdict."""
        return {Verdict.REFUTED: 1, Verdict.UNKNOWN: 3, Verdict.CONFIRMED: 0}[self]


@dataclass(frozen=True)
class Bounds:
    """Where a search gives up. ``states``, ``seconds`` and ``memory`` (bytes); 0 = no bound."""

    states: int = 0
    seconds: float = 0.0
    memory: int = 0


@dataclass(frozen=True)
class Progress:
    """What a progress line tells."""

    states: int
    transitions: int
    depth: int
    frontier: int
    seconds: float
    memory: int


@dataclass
class Exploration:
    """What one search saw. Property and action results are by name."""

    program: Program
    packing: Packing
    visited: Visited
    levels: list[int]
    transitions: int = 0
    initial: int = 0
    seconds: float = 0.0
    stopped: str = ""
    first: dict[str, tuple[int, tuple[int, ...]]] = field(default_factory=dict)
    reached: dict[str, int] = field(default_factory=dict)
    taken: dict[str, int] = field(default_factory=dict)
    symmetry: Symmetry | None = None
    not_reduced: str = ""

    @property
    def states(self) -> int:
        """Distinct states found (orbits of states, where there is a ``symmetry``)."""
        return self.visited.count

    @property
    def depth(self) -> int:
        """Steps to the farthest state."""
        return len(self.levels) - 2

    @property
    def generated(self) -> int:
        """Initial states plus transitions."""
        return self.initial + self.transitions

    def least(self, words: Words) -> Words:
        """The states that stand for these: themselves, unless there is a ``symmetry``."""
        return self.symmetry.least(words) if self.symmetry else words

    def state(self, words: tuple[int, ...]) -> State:
        """A packed state, unpacked."""
        return self.packing.unpack_one(words)

    def words_at(self, number: int) -> tuple[int, ...]:
        """The packed state that was found as number ``number``."""
        return tuple(int(w) for w in self.visited.rows(number, number + 1)[:, 0])

    def state_at(self, number: int) -> State:
        """The state that was found as number ``number``."""
        return self.state(self.words_at(number))


class Search:
    """One breadth-first exploration of a model."""

    def __init__(
        self,
        model: Model,
        bounds: Bounds = Bounds(),
        progress: Callable[[Progress], None] | None = None,
        dense: bool | None = None,
        until_refuted: bool = False,
        symmetry: bool = True,
    ) -> None:
        self.program = Program(model)
        self.packing = Packing(self.program.cells)
        self.bounds, self._progress = bounds, progress
        self._until_refuted = until_refuted
        self._properties = [
            (p, self.program.holds(p)) for p in model.properties if p.kind != "leads_to"
        ]
        self._checks_deadlock = model.checks_deadlock
        visited = self._make_visited(dense)
        self.result = Exploration(self.program, self.packing, visited, [0])
        if symmetry and symmetric_indices(model):
            self._reduce(model)
        for action in model.actions:
            self.result.taken[action.name] = 0

    def _reduce(self, model: Model) -> None:
        try:
            if any(p.kind == "leads_to" for p in model.properties):
                raise SymmetryError("leads_to is judged on the whole graph")
            self.result.symmetry = Symmetry(self.program, self.packing)
        except SymmetryError as error:
            self.result.not_reduced = str(error)

    def _make_visited(self, dense: bool | None) -> Visited:
        packing = self.packing
        small = packing.words == 1 and packing.exact and packing.capacity <= DENSE_LIMIT
        if small and (dense is None or dense):
            return DenseSet(packing.capacity)
        return HashedSet(packing.words)

    def run(self) -> Exploration:
        """Explore until the frontier is empty or a bound is met."""
        result, started = self.result, time.perf_counter()
        start = result.least(self.packing.pack(self.program.initial()))
        result.initial = result.visited.insert([start])
        result.levels.append(result.visited.count)
        while result.levels[-1] > result.levels[-2] and not result.stopped:
            low, high = result.levels[-2:]
            for chunk in range(low, high, CHUNK):
                self._expand(result.visited.rows(chunk, min(chunk + CHUNK, high)))
                self._look_at_bounds(time.perf_counter() - started)
                if result.stopped:
                    break
            else:
                result.visited.close_level(high)
                result.levels.append(result.visited.count)
                self._report(time.perf_counter() - started)
        if not result.stopped:
            result.levels.pop()
        elif result.levels[-1] < result.visited.count:
            result.levels.append(result.visited.count)
        result.seconds = time.perf_counter() - started
        return result

    # ------------------------------------------------------------------------ one chunk

    def _expand(self, words: Words) -> None:
        columns = Columns(self.packing, self.program.position, words)
        self._judge(columns)
        stuck = np.ones(columns.size, dtype=np.bool_)
        found: list[Words] = []
        for instance in self.program.instances:
            enabled = self._enabled(columns, instance.guard)
            if enabled is None:
                continue
            rows = np.flatnonzero(enabled)
            if not rows.size:
                continue
            stuck &= ~enabled
            self.result.taken[instance.action.name] += int(rows.size)
            self.result.transitions += int(rows.size)
            found.append(successors(columns, instance, rows, self.program))
        if self._checks_deadlock and stuck.any():
            self._first(DEADLOCK, stuck & ~columns.truth(self.program.done), words)
        if found:
            if self.result.symmetry:
                found = [self.result.least(np.concatenate(found, axis=1))]
            self.result.visited.insert(found)

    @staticmethod
    def _enabled(columns: Columns, guard: BoolExpr) -> Truth | None:
        if guard.op == "bool" and not guard.data[0]:
            return None
        return columns.truth(guard)

    def _judge(self, columns: Columns) -> None:
        result = self.result
        for prop, predicate in self._properties:
            holds = columns.truth(predicate)
            if prop.kind == "always":
                if not holds.all():
                    self._first(prop.name, ~holds, columns.words)
            elif prop.name not in result.reached and holds.any():
                self._first(f"sometimes {prop.name}", holds, columns.words)
                result.reached[prop.name] = self._level

    @property
    def _level(self) -> int:
        """The depth of the states being expanded."""
        return len(self.result.levels) - 2

    def _first(self, name: str, where: Truth, words: Words) -> None:
        if name in self.result.first or not where.any():
            return
        row = int(np.argmax(where))
        self.result.first[name] = (self._level, tuple(int(w) for w in words[:, row]))

    # ---------------------------------------------------------------------------- bounds

    def _look_at_bounds(self, seconds: float) -> None:
        result, bounds = self.result, self.bounds
        if bounds.states and result.states > bounds.states:
            result.stopped = f"more than {bounds.states:,} states"
        elif self._until_refuted and any(not n.startswith("sometimes ") for n in result.first):
            result.stopped = "a property is refuted"
        elif bounds.seconds and seconds > bounds.seconds:
            result.stopped = f"more than {bounds.seconds:g} seconds"
        elif bounds.memory and result.visited.bytes > bounds.memory:
            result.stopped = f"more than {bounds.memory:,} bytes of states"

    def _report(self, seconds: float) -> None:
        if self._progress is None:
            return
        r = self.result
        frontier = r.levels[-1] - r.levels[-2]
        self._progress(
            Progress(r.states, r.transitions, r.depth, frontier, seconds, r.visited.bytes)
        )


def successors(
    columns: Columns, instance: Instance, rows: NDArray[np.intp], program: Program
) -> Words:
    """Packed successors of the given rows; ModelError where an update leaves its range."""
    part = columns if rows.size == columns.size else columns.at(rows)
    new = part.words.copy()
    _check_indices(part, instance, program)
    for position, expr in instance.updates:
        digit, cell = columns.packing.digits[position], program.cells[position]
        value = part.full(expr)
        if expr.lo < cell.lo or expr.hi > cell.hi:
            _check_range(part, instance, program, position, value)
        # Words are a group under addition modulo 2^64, so a difference may be "negative".
        change = np.subtract(value, part.cell(position), dtype=np.int64).view(np.uint64)
        change *= np.uint64(digit.weight)
        new[digit.word] += change
    return new


def _check_indices(part: Columns, instance: Instance, program: Program) -> None:
    if instance.in_range.op == "bool" and instance.in_range.data[0]:
        return
    fits = part.truth(instance.in_range)
    if not fits.all():
        _raise_by_interpreter(part, instance, program, int(np.argmin(fits)))


def _check_range(
    part: Columns, instance: Instance, program: Program, position: int, value: NDArray[np.generic]
) -> None:
    cell = program.cells[position]
    wide = value.astype(np.int64)
    outside = (wide < cell.lo) | (wide > cell.hi)
    if outside.any():
        _raise_by_interpreter(part, instance, program, int(np.argmax(outside)))


def _raise_by_interpreter(part: Columns, instance: Instance, program: Program, row: int) -> None:
    state = part.packing.unpack_one(int(w) for w in part.words[:, row])
    Interpreter(program).apply(instance, state)
    raise ModelError(f"{instance.label}: arrays and integers disagree about {state}")


# ------------------------------------------------------------------------------- traces


@dataclass(frozen=True)
class TraceStep:
    """One row of a counterexample: the step taken (None at the start) and the state after it."""

    instance: Instance | None
    state: State


Trace = list[TraceStep]


def shortest_trace(found: Exploration, name: str) -> Trace:
    """The shortest way to the first state recorded under ``name``, re-run by the interpreter."""
    return _trace(found, *found.first[name])


def trace_to(found: Exploration, number: int) -> Trace:
    """The shortest way to the state found as number ``number``."""
    depth = int(np.searchsorted(found.levels, number, side="right")) - 1
    return _trace(found, depth, found.words_at(number))


def _trace(found: Exploration, depth: int, target: tuple[int, ...]) -> Trace:
    steps: list[tuple[Instance, tuple[int, ...]]] = []
    for level in range(depth, 0, -1):
        instance, before = _predecessor(found, level - 1, target)
        steps.append((instance, target))
        target = before
    trace = [TraceStep(None, found.state(target))]
    for instance, words in reversed(steps):
        trace.append(_towards(found, trace[-1].state, instance, words))
    replay(found.program, trace)
    return trace


def _towards(
    found: Exploration, state: State, instance: Instance, words: tuple[int, ...]
) -> TraceStep:
    """The step from a state to ``words``; under a symmetry, to a state that they stand for."""
    if found.symmetry is None:
        return TraceStep(instance, found.state(words))
    for taken in Interpreter(found.program).successors(state):
        least = found.least(found.packing.pack([taken.state]))
        if tuple(int(w) for w in least[:, 0]) == words:
            return TraceStep(taken.instance, taken.state)
    raise ModelError(f"no step leads on from {state}: the search contradicts itself")


def _predecessor(
    found: Exploration, level: int, target: tuple[int, ...]
) -> tuple[Instance, tuple[int, ...]]:
    wanted = np.array(target, dtype=np.uint64)[:, None]
    for chunk in range(found.levels[level], found.levels[level + 1], CHUNK):
        words = found.visited.rows(chunk, min(chunk + CHUNK, found.levels[level + 1]))
        columns = Columns(found.packing, found.program.position, words)
        for instance in found.program.instances:
            rows = np.flatnonzero(columns.truth(instance.guard))
            if not rows.size:
                continue
            after = found.least(successors(columns, instance, rows, found.program))
            hit = (after == wanted).all(axis=0)
            if hit.any():
                row = int(rows[int(np.argmax(hit))])
                return instance, tuple(int(w) for w in words[:, row])
    raise ModelError(f"no predecessor at level {level}: the search contradicts itself")


def replay(program: Program, trace: Trace) -> None:
    """Re-run a trace in the unreduced model by plain integers; ModelError where it is no run."""
    interpreter = Interpreter(program)
    if trace[0].state not in program.initial():
        raise ModelError("the trace does not begin in an initial state")
    for before, step in pairwise(trace):
        instance = step.instance
        if instance is None or not interpreter.enabled(instance, before.state):
            raise ModelError(f"the trace takes {instance and instance.label}, which is not enabled")
        if interpreter.apply(instance, before.state) != step.state:
            raise ModelError(f"the trace's step {instance.label} leads elsewhere")
