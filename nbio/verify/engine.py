"""Breadth-first search that expands a whole frontier per array operation.

Every reachable state is expanded exactly once, violating ones included, so that the counts of a
refuted claim do not depend on the order of the search. ``depth`` counts steps (TLC's figure is one
higher); ``generated`` counts initial states and every transition, as TLC does.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import compress
from operator import not_
from typing import Final

import numpy as np

from nbio.verify.columns import Columns, Truth
from nbio.verify.expr import ModelError, as_bool
from nbio.verify.memory import Budget, OutOfMemoryError
from nbio.verify.packing import Packing, Words
from nbio.verify.program import Instance, Program, State
from nbio.verify.spec import Model
from nbio.verify.stepping import initial_words, premise_of, successors
from nbio.verify.symmetry import Symmetry, SymmetryError, symmetric_indices
from nbio.verify.visited import DENSE_LIMIT, DenseSet, HashedSet, Visited

CHUNK: Final = 1 << 17
"""States expanded together. An action is enabled in a tenth of them or so, and its updates are
computed on those alone: with smaller chunks NumPy's overhead per operation outweighs the work."""
LEAST: Final = 1 << 10
"""States expanded together, however little memory is allowed."""
DEADLOCK: Final = "deadlock"


Packed = tuple[int, ...]
"""A packed state: its words."""


class Verdict(IntEnum):
    """Ordered: a weaker result never hides a stronger one. Exit codes are 1, 3, 0."""

    REFUTED = 0
    UNKNOWN = 1
    CONFIRMED = 2

    @property
    def exit_code(self) -> int:
        """The process exit code that stands for this verdict."""
        return {Verdict.REFUTED: 1, Verdict.UNKNOWN: 3, Verdict.CONFIRMED: 0}[self]


class StoppedError(Exception):
    """A search ends before it has seen everything; the message says why."""


@dataclass(frozen=True)
class Bounds:
    """Where a search gives up; 0 = no bound.

    ``states``, ``seconds``, and ``memory``: bytes that the process (with ``workers``: all of them
    together) may hold.
    """

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
    first: dict[str, tuple[int, Packed]] = field(default_factory=dict)
    reached: dict[str, int] = field(default_factory=dict)
    taken: dict[str, int] = field(default_factory=dict)
    symmetry: Symmetry | None = None
    not_reduced: str = ""
    cut: int = 0
    """Steps to states outside the constraint."""
    unmet: set[str] = field(default_factory=set)
    """Properties of the form "where premise, there conclusion" whose premise was never met."""

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

    def state(self, words: Packed) -> State:
        """A packed state, unpacked."""
        return self.packing.unpack_one(words)

    def words_at(self, number: int) -> Packed:
        """The packed state that was found as number ``number``."""
        return tuple(int(w) for w in self.visited.rows(number, number + 1)[:, 0])

    def state_at(self, number: int) -> State:
        """The state that was found as number ``number``."""
        return self.state(self.words_at(number))

    def predecessor(self, level: int, target: Packed) -> tuple[Instance, Packed]:
        """A step from a state of ``level`` to ``target``; ModelError where there is none."""
        found = self.step_to(self.levels[level], self.levels[level + 1], target)
        if found is None:
            raise ModelError(f"no predecessor at level {level}: the search contradicts itself")
        number, before = found
        return self.program.instances[number], before

    def step_to(self, start: int, stop: int, target: Packed) -> tuple[int, Packed] | None:
        """A step to ``target`` from a state of number ``start`` to ``stop``, if there is one.

        The number of its instance, and the state before it.
        """
        wanted = np.array(target, dtype=np.uint64)[:, None]
        for chunk in range(start, stop, CHUNK):
            words = self.visited.rows(chunk, min(chunk + CHUNK, stop))
            columns = Columns(self.packing, self.program.position, words)
            enabled = columns.truths([i.guard for i in self.program.instances])
            for number, instance in enumerate(self.program.instances):
                rows = np.flatnonzero(enabled[number])
                if not rows.size:
                    continue
                after = self.least(successors(columns, instance, rows, self.program))
                hit = (after == wanted).all(axis=0)
                if hit.any():
                    row = int(rows[int(np.argmax(hit))])
                    return number, tuple(int(w) for w in words[:, row])
        return None


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
        self.budget = Budget(bounds.memory)
        self._until_refuted = until_refuted
        self._properties = [
            (p, self.program.holds(p)) for p in model.properties if p.kind != "leads_to"
        ]
        self._premises = {
            p.name: as_bool(self.program.lower(premise))
            for p in model.properties
            if (premise := premise_of(p)) is not None
        }
        never = [i.guard.op == "bool" and not i.guard.data[0] for i in self.program.instances]
        self._instances = list(compress(self.program.instances, map(not_, never)))
        self._guards = [i.guard for i in self._instances]
        self._checks_deadlock = model.checks_deadlock
        self._cuts = self.program.constraint.op != "bool"
        visited = self._make_visited(dense)
        self.result = Exploration(self.program, self.packing, visited, [0])
        if symmetry and symmetric_indices(model):
            self._reduce(model)
        for action in model.actions:
            self.result.taken[action.name] = 0
        self.result.unmet = set(self._premises)

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
        if small and dense is not False:
            with suppress(OutOfMemoryError):
                return DenseSet(packing.capacity, self.budget)
        return HashedSet(packing.words, self.budget)

    def run(self) -> Exploration:
        """Explore until the frontier is empty or a bound is met."""
        result, started = self.result, time.perf_counter()
        result.initial = result.visited.insert([self.initial()])
        result.levels.append(result.visited.count)
        try:
            while result.levels[-1] > result.levels[-2]:
                self._level(started)
            result.levels.pop()
        except (StoppedError, OutOfMemoryError) as stop:
            result.stopped = str(stop)
            if result.levels[-1] < result.visited.count:
                result.levels.append(result.visited.count)
        result.seconds = time.perf_counter() - started
        return result

    def _level(self, started: float) -> None:
        result = self.result
        low, high = result.levels[-2:]
        many = self.chunk
        for chunk in range(low, high, many):
            found = self.expand(result.visited.rows(chunk, min(chunk + many, high)))
            result.visited.insert(found)
            self._look_at_bounds(time.perf_counter() - started)
            if chunk + many < high:
                self._report(time.perf_counter() - started)
        result.visited.close_level(high)
        result.levels.append(result.visited.count)
        self._report(time.perf_counter() - started)

    @property
    def chunk(self) -> int:
        """States expanded together: fewer where their successors could take half the memory."""
        most = self.bounds.memory // (16 * self.packing.words * max(1, len(self._instances)))
        return min(CHUNK, max(most, LEAST)) if self.bounds.memory else CHUNK

    def initial(self) -> Words:
        """The initial states."""
        words, outside = self._inside(initial_words(self.program, self.packing))
        if outside.shape[1]:
            self._judge(Columns(self.packing, self.program.position, outside), 1)
        if not words.shape[1]:
            raise ModelError(f"model {self.program.model.name} has no initial state within bounds")
        return self.result.least(words)

    # ------------------------------------------------------------------------ one chunk

    def expand(self, words: Words) -> list[Words]:
        """Judge states of the level that is being expanded; their successors, in batches."""
        columns = Columns(self.packing, self.program.position, words)
        *enabled, done = columns.truths([*self._guards, self.program.done])
        self._judge(columns)
        stuck = np.ones(columns.size, dtype=np.bool_)
        found: list[Words] = []
        for instance, mask in zip(self._instances, enabled, strict=True):
            rows = np.flatnonzero(mask)
            if not rows.size:
                continue
            stuck &= ~mask
            self.result.taken[instance.action.name] += int(rows.size)
            self.result.transitions += int(rows.size)
            found.append(successors(columns, instance, rows, self.program))
        if self._checks_deadlock and stuck.any():
            self._first(DEADLOCK, stuck & ~done, words)
        if self._cuts:
            found = [self._cut(words) for words in found]
        if found and self.result.symmetry:
            return [self.result.least(np.concatenate(found, axis=1))]
        return found

    # ------------------------------------------------------------- what is not gone on from

    def _cut(self, words: Words) -> Words:
        """The successors within the constraint; the others are judged, and that is all."""
        inside, outside = self._inside(words)
        if outside.shape[1]:
            self.result.cut += outside.shape[1]
            self._judge(Columns(self.packing, self.program.position, outside), 1)
        return inside

    def _inside(self, words: Words) -> tuple[Words, Words]:
        columns = Columns(self.packing, self.program.position, words)
        keep = columns.truth(self.program.constraint)
        return words.compress(keep, axis=1), words.compress(~keep, axis=1)

    def _judge(self, columns: Columns, later: int = 0) -> None:
        """Judge states, ``later`` levels after those that are being expanded."""
        result = self.result
        if result.unmet:
            self._look_for_premises(columns)
        judged = columns.truths([predicate for _, predicate in self._properties])
        for (prop, _), holds in zip(self._properties, judged, strict=True):
            if prop.kind == "always":
                if not holds.all():
                    self._first(prop.name, ~holds, columns.words, later)
            elif prop.name not in result.reached and holds.any():
                self._first(f"sometimes {prop.name}", holds, columns.words, later)
                result.reached[prop.name] = self._depth + later

    def _look_for_premises(self, columns: Columns) -> None:
        wanted = sorted(self.result.unmet)
        for name, met in zip(
            wanted, columns.truths([self._premises[n] for n in wanted]), strict=True
        ):
            if met.any():
                self.result.unmet.discard(name)

    @property
    def _depth(self) -> int:
        """The depth of the states being expanded."""
        return len(self.result.levels) - 2

    def _first(self, name: str, where: Truth, words: Words, later: int = 0) -> None:
        if name in self.result.first or not where.any():
            return
        row = int(np.argmax(where))
        self.result.first[name] = (self._depth + later, tuple(int(w) for w in words[:, row]))

    # ---------------------------------------------------------------------------- bounds

    def _look_at_bounds(self, seconds: float) -> None:
        look_at_bounds(self.bounds, self.result, seconds, self._until_refuted)
        self.budget.take()

    def _report(self, seconds: float) -> None:
        if self._progress is None:
            return
        r = self.result
        frontier = r.levels[-1] - r.levels[-2]
        self._progress(
            Progress(r.states, r.transitions, r.depth, frontier, seconds, r.visited.bytes)
        )


def look_at_bounds(
    bounds: Bounds, result: Exploration, seconds: float, until_refuted: bool
) -> None:
    """StoppedError where a search should stop, with the reason."""
    if bounds.states and result.states > bounds.states:
        raise StoppedError(f"more than {bounds.states:,} states")
    if until_refuted and any(not n.startswith("sometimes ") for n in result.first):
        raise StoppedError("a property is refuted")
    if bounds.seconds and seconds > bounds.seconds:
        raise StoppedError(f"more than {bounds.seconds:g} seconds")
