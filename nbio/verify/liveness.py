"""``leads_to``: can a run that is fair stay away from the goal for ever?

A run may stay where it is for ever (it *stutters*), as in TLA+: only fairness makes anything
happen. A step that changes nothing is stuttering too, so "enabled" means here that the action would
change the state. Fairness is asked of each action at each value of its parameters:

- weak: it is not enabled for ever, without a pause, while it is never taken;
- strong: it is not enabled again and again while it is never taken.

``P leads to Q`` is violated by a run through a state of P and not Q after which Q never holds. In a
finite graph such a run ends in one state where no fair action is enabled, or in a strongly
connected part without Q where each fair action is content: a weak one is taken inside or disabled
somewhere, a strong one is taken inside or enabled nowhere. A part in which a weak action is not
content has no fair run at all; where a strong one is not, a fair run must stay clear of the states
that enable it, so these are removed and what is left is taken apart again. Nothing is reduced: this
is the whole explored graph.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nbio.verify.columns import Columns, Truth
from nbio.verify.engine import CHUNK, Bounds, Exploration
from nbio.verify.expr import BoolExpr, ModelError, as_bool
from nbio.verify.ints import Interpreter
from nbio.verify.program import Fair, Program, State
from nbio.verify.runs import Trace, TraceStep, rerun, trace_to
from nbio.verify.spec import Property
from nbio.verify.stepping import successors
from nbio.verify.visited import unique

Ids = NDArray[np.int32]
"""Numbers of states, in the order found."""
EDGE_BYTES: Final = 48
"""What a transition costs here at most, while the graph is built and taken apart."""
_LAST: Final = 2**31 - 1


class GaveUpError(Exception):
    """A bound was met before there was a verdict; the message says which."""


@dataclass(frozen=True)
class Lasso:
    """A run without end: after its last state it goes on as it did after state ``start``.

    Where ``start`` is the last state itself, the run stays there for ever.
    """

    trace: Trace
    start: int


# ------------------------------------------------------------------------------- graphs


class Graph:
    """Edges between different states: those out of ``n`` are ``target[first[n]:first[n + 1]]``."""

    def __init__(self, states: int, source: Ids, target: Ids) -> None:
        # An edge that two actions share is held once: SciPy's search for strongly connected
        # components (1.17) does not end where a row names a target twice.
        source, target = np.divmod(unique(source.astype(np.int64) * states + target), states)
        self.states = states
        self.target = target.astype(np.int32)
        self.first = np.zeros(states + 1, dtype=np.int32)
        np.cumsum(np.bincount(source, minlength=states), out=self.first[1:])

    def out(self, nodes: Ids) -> tuple[Ids, Ids]:
        """The edges out of the given nodes: sources and targets."""
        low = self.first[nodes]
        many = self.first[nodes + 1] - low
        before = np.cumsum(many) - many
        places = np.arange(int(many.sum())) + np.repeat(low - before, many)
        return np.repeat(nodes, many), self.target[places]

    def components(self, inside: Truth) -> Ids:
        """The strongly connected component of each state ``inside``; -1 of the others."""
        try:
            from scipy.sparse import csr_matrix
            from scipy.sparse.csgraph import connected_components
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError("leads_to needs SciPy: pip install 'nbio[verify]'") from error
        nodes = np.flatnonzero(inside).astype(np.int32)
        number = np.full(self.states, -1, dtype=np.int32)
        number[nodes] = np.arange(nodes.size, dtype=np.int32)
        source, target = self.out(nodes)
        keep = inside[target]
        first = np.zeros(nodes.size + 1, dtype=np.int32)
        np.cumsum(np.bincount(number[source[keep]], minlength=nodes.size), out=first[1:])
        ends = number[target[keep]]
        matrix = csr_matrix((np.ones(ends.size), ends, first), shape=(nodes.size, nodes.size))
        number[nodes] = connected_components(matrix, directed=True, connection="strong")[1]
        return number


class Spread:
    """Breadth-first from the ``begin`` states, each at its own distance, and only ``inside``."""

    def __init__(self, graph: Graph, begin: Ids, distance: Ids, inside: Truth) -> None:
        self.distance = np.full(graph.states, -1, dtype=np.int32)
        self.parent = np.full(graph.states, -1, dtype=np.int32)
        order = np.argsort(distance, kind="stable")
        begin, distance = begin[order], distance[order]
        frontier, level, used = begin[:0], 0, 0
        while used < begin.size or frontier.size:
            level = level if frontier.size else int(distance[used])
            upto = int(np.searchsorted(distance, level, side="right"))
            joining = begin[used:upto]
            joining = joining[self.distance[joining] < 0]
            self.distance[joining] = level
            used = upto
            source, target = graph.out(np.concatenate([frontier, joining]))
            fresh = inside[target] & (self.distance[target] < 0)
            self.parent[target[fresh]] = source[fresh]
            frontier = np.unique(target[fresh])
            level += 1
            self.distance[frontier] = level

    def path(self, to: int) -> list[int]:
        """The states from a ``begin`` state to ``to``, both included."""
        found = [to]
        while self.parent[found[-1]] >= 0:
            found.append(int(self.parent[found[-1]]))
        return found[::-1]


# ------------------------------------------------------------------------------ judging


class FairSteps:
    """Where fair instances lead, taken as one: from ``source[i]`` (ascending) to ``target[i]``."""

    def __init__(self, strong: bool, source: Ids, target: Ids) -> None:
        self.strong, self.source, self.target = strong, source, target
        self.enabled = source[np.flatnonzero(np.diff(source, prepend=np.int32(-1)))]
        """The states in which one of them is enabled, each once."""

    @classmethod
    def joined(cls, fair: Fair, edges: list[tuple[Ids, Ids]]) -> FairSteps:
        """The steps of all its instances."""
        source, target = _joined([edges[n] for n in fair.instances])
        if len(fair.instances) > 1:
            order = np.argsort(source, kind="stable")
            source, target = source[order], target[order]
        return cls(fair.strong, source, target)

    def inside(self, part: Truth) -> FairSteps:
        """Only the steps within a part."""
        keep = part[self.source] & part[self.target]
        return FairSteps(self.strong, self.source[keep], self.target[keep])

    def content(self, run: list[int]) -> bool:
        """Whether going round ``run`` for ever (its last state is its first) is fair to it."""
        at = np.array(run, dtype=np.int32)
        low = np.searchsorted(self.source, at, side="left")
        high = np.searchsorted(self.source, at, side="right")
        for number in range(at.size - 1):
            if at[number + 1] in self.target[low[number] : high[number]]:
                return True
        enabled = high > low
        return not (enabled.any() if self.strong else enabled.all())


class Liveness:
    """The explored graph with all its edges, ready to judge any number of ``leads_to``."""

    def __init__(self, found: Exploration, bounds: Bounds) -> None:
        self.found, self.program = found, found.program
        self._bounds, self._started = bounds, time.perf_counter()
        self._refuse_what_does_not_fit()
        parts: list[list[tuple[Ids, Ids]]] = [[] for _ in self.program.instances]
        for n, source, target in self._steps():
            parts[n].append((source, target))
        edges = [_joined(p) for p in parts]
        self._graph = Graph(found.states, *_joined(edges))
        self._fair = [FairSteps.joined(fair, edges) for fair in self.program.fairness()]

    def _refuse_what_does_not_fit(self) -> None:
        found, most = self.found, self._bounds.memory
        need = found.visited.bytes + found.transitions * EDGE_BYTES
        if most and need > most:
            raise GaveUpError(f"leads_to may need {need:,} bytes, more than {most:,}")
        if max(found.transitions, found.states) > _LAST:
            raise GaveUpError(f"leads_to is limited to {_LAST:,} transitions")

    def _chunks(self) -> Iterator[tuple[int, Columns]]:
        found, most = self.found, self._bounds.seconds
        for start in range(0, found.states, CHUNK):
            if most and found.seconds + time.perf_counter() - self._started > most:
                raise GaveUpError(f"more than {most:g} seconds before leads_to was judged")
            words = found.visited.rows(start, min(start + CHUNK, found.states))
            yield start, Columns(found.packing, self.program.position, words)

    def _steps(self) -> Iterator[tuple[int, Ids, Ids]]:
        """Every step that changes the state, taken again: ``(instance, sources, targets)``."""
        for start, columns in self._chunks():
            enabled = columns.truths([i.guard for i in self.program.instances])
            for n, instance in enumerate(self.program.instances):
                rows = np.flatnonzero(enabled[n])
                if not rows.size:
                    continue
                after = successors(columns, instance, rows, self.program)
                source, target = rows + start, self.found.visited.find(after)
                moved = source != target
                yield n, source[moved].astype(np.int32), target[moved].astype(np.int32)

    def _where(self, predicate: BoolExpr) -> Truth:
        return np.concatenate([columns.truth(predicate) for _, columns in self._chunks()])

    def violation(self, prop: Property) -> Lasso | None:
        """A fair run that passes the premise and never comes to the goal after it, if any."""
        away = ~self._where(as_bool(self.program.lower(prop.then)))
        begin = np.flatnonzero(self._where(self.program.holds(prop)) & away).astype(np.int32)
        if not begin.size:
            return None
        depth = np.searchsorted(self.found.levels, begin, side="right") - 1
        spread = Spread(self._graph, begin, depth.astype(np.int32), away)
        there = spread.distance >= 0
        still = there.copy()
        for fair in self._fair:
            still[fair.source] = False
        ends, part = still, self._nowhere()
        if not still.any():
            part = self._fair_parts(there)
            ends = part >= 0
        if not ends.any():
            return None
        nearest = np.flatnonzero(ends)
        end = int(nearest[np.argmin(spread.distance[nearest])])
        stem = spread.path(end)
        turn = [] if still[end] else self._turn(end, part == part[end])
        lasso = self._told(stem, turn)
        confirm(self.program, prop, lasso)
        return lasso

    def _nowhere(self) -> Ids:
        return np.full(self.found.states, -1, dtype=np.int32)

    def _fair_parts(self, there: Truth) -> Ids:
        """The number of the fair component that each state is in, or -1: the first ones found."""
        left = there.copy()
        while left.any():
            part = self._graph.components(left)
            useless, removed = self._discontent(part)
            good = left & ~useless[part]
            if good.any():
                part[~good] = -1
                return part
            left &= ~removed
        return self._nowhere()

    def _discontent(self, part: Ids) -> tuple[Truth, Truth]:
        """Which components are unfair to somebody, and which states no fair run stays in then."""
        size = np.bincount(part[part >= 0])
        useless, hopeless = np.zeros((2, size.size), dtype=np.bool_)
        removed = np.zeros(part.size, dtype=np.bool_)
        for fair in self._fair:
            here, next_ = part[fair.source], part[fair.target]
            taken = np.zeros(size.size, dtype=np.bool_)
            taken[here[(here >= 0) & (here == next_)]] = True
            can = part[fair.enabled]
            enabled = np.bincount(can[can >= 0], minlength=size.size)
            if fair.strong:
                bad = (enabled > 0) & ~taken
                removed[fair.source[(here >= 0) & bad[here]]] = True
            else:
                bad = (enabled == size) & ~taken
                hopeless |= bad
            useless |= bad
        removed |= (part >= 0) & hopeless[part]
        return useless, removed

    # ----------------------------------------------------------------- the cycle, told

    def _turn(self, start: int, part: Truth) -> list[int]:
        """States from ``start`` round to ``start`` again, within a fair part, fair to everyone."""
        run = [start]
        while True:
            unhappy = next((f for f in self._fair if not f.content(run)), None)
            if unhappy is None and run[-1] == start:
                return run
            if unhappy is None:
                run += self._way(run[-1], np.array([start]), part)
                continue
            inside = unhappy.inside(part)
            if inside.source.size:
                run += self._way(run[-1], inside.source, part)
                run.append(int(inside.target[np.argmax(inside.source == run[-1])]))
            else:
                rest = part.copy()
                rest[unhappy.source] = False
                run += self._way(run[-1], np.flatnonzero(rest), part)

    def _way(self, start: int, goals: NDArray[np.intp] | Ids, part: Truth) -> list[int]:
        """The states after ``start`` on the shortest way to one of the goals, within ``part``."""
        begin = np.array([start], dtype=np.int32)
        spread = Spread(self._graph, begin, np.zeros(1, dtype=np.int32), part)
        return spread.path(int(goals[np.argmin(spread.distance[goals])]))[1:]

    def _told(self, stem: list[int], turn: list[int]) -> Lasso:
        trace = trace_to(self.found, stem[0])
        interpreter = Interpreter(self.program)
        for number in [*stem[1:], *turn[1:]]:
            trace.append(_step_to(interpreter, trace[-1].state, self.found.state_at(number)))
        return Lasso(trace, len(trace) - max(1, len(turn)))


def _joined(parts: list[tuple[Ids, Ids]]) -> tuple[Ids, Ids]:
    nothing = np.empty(0, dtype=np.int32)
    sources, targets = ([nothing, *(p[k] for p in parts)] for k in (0, 1))
    return np.concatenate(sources), np.concatenate(targets)


def _step_to(interpreter: Interpreter, before: State, after: State) -> TraceStep:
    for taken in interpreter.successors(before):
        if taken.state == after:
            return TraceStep(taken.instance, after)
    raise ModelError("a lasso takes a step that is none: the search contradicts itself")


# --------------------------------------------------------------------- counter-checking


def confirm(program: Program, prop: Property, lasso: Lasso) -> None:
    """Re-run a lasso by plain integers; ModelError unless it is a fair run that violates ``prop``.

    Nothing of the search is trusted: steps, premise, goal and fairness are looked at afresh.
    """
    rerun(program, lasso.trace)
    states = [s.state for s in lasso.trace]
    cycle = states[lasso.start :]
    interpreter = Interpreter(program)
    premise, goal = program.holds(prop), as_bool(program.lower(prop.then))
    reached = [bool(interpreter.value(goal, s)) for s in states]
    last = max((i for i, r in enumerate(reached) if r), default=-1)
    if any(reached[lasso.start :]) or not any(
        interpreter.value(premise, s) for s in states[last + 1 :]
    ):
        raise ModelError(f"{prop.name}: the lasso comes to the goal after all")
    if cycle[0] != cycle[-1]:
        raise ModelError(f"{prop.name}: the lasso does not close")
    for fair in program.fairness():
        if not _is_fair(interpreter, fair, cycle):
            raise ModelError(f"{prop.name}: the lasso is unfair to {fair.name}")


def _is_fair(interpreter: Interpreter, fair: Fair, cycle: list[State]) -> bool:
    instances = [interpreter.program.instances[n] for n in fair.instances]
    after = [
        {interpreter.apply(i, s) for i in instances if interpreter.enabled(i, s)} - {s}
        for s in cycle
    ]
    if any(b in then for (_, b), then in zip(pairwise(cycle), after, strict=False)):
        return True
    enabled = [bool(then) for then in after]
    return not (any(enabled) if fair.strong else all(enabled))
