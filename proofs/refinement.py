"""The real pool, driven through every transition of the model, ends where the model says.

Every transition of the final design's world at small bounds is taken by the real `BodyPool`, after
a shortest way to its source; then the abstraction of the real objects is compared with the model's
state, and every event that the lifecycle refuses there is tried and must change nothing. And the
emitted functions are compared with the tables they were emitted from, value by value.
"""

import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from model.lifecycle import SLOT
from model.world import Bounds
from nbio import _lifecycle
from nbio.errors import PoolImbalance
from nbio.verify.emit import frame
from nbio.verify.engine import Verdict
from nbio.verify.expr import BoolExpr, Expr
from nbio.verify.program import State
from proofs.abstraction import Stage, by_table
from proofs.graph import Edge, Graph, graph_of
from proofs.ledger import Row, progress

BOUNDS = Bounds(slots=1, requests=2, blocks=2, leftovers=1, keepers=1, buffers=2, detachers=1)
TWO_SLOTS = Bounds(slots=2, requests=2, blocks=1, leftovers=0, keepers=1, buffers=2, detachers=1)
ENOUGH = 5
"""Differences told; the rest would be the same again."""


@dataclass
class Walked:
    """What a walk through a whole graph saw."""

    states: int = 0
    transitions: int = 0
    refusals: int = 0
    differences: list[str] = field(default_factory=list)


def difference(stage: Stage, names: Sequence[str], state: State) -> str:
    """Where the real objects stand for something else than ``state``; "" where they don't.

    They stand for it if they do so in some casting of the blocks, which is then kept.
    """
    modelled = dict(zip(names, state, strict=True))
    wrong: list[str] = []
    for casting in itertools.permutations(stage.blocks):
        stage.blocks = list(casting)
        wrong = [
            f"{name} is {value}, the model says {modelled[name]}"
            for name, value in stage.seen().items()
            if modelled[name] != value
        ]
        if not wrong:
            break
    return "; ".join(wrong)


def rehearse(bounds: Bounds, way: Sequence[Edge]) -> Stage:
    """The real objects after the steps of ``way``."""
    stage = Stage(bounds)
    for edge in way:
        stage.act(edge.instance.action.name, edge.instance.values)
    return stage


def walk(bounds: Bounds, enough: int = ENOUGH) -> Walked:
    """Take every transition of the world at ``bounds`` with the real pool.

    Ends after the state at which there are ``enough`` differences.
    """
    graph, seen = graph_of(bounds), Walked()
    for source, edges in enumerate(graph.edges):
        way = graph.way(source)
        for edge in edges:
            told = _take(bounds, graph, [*way, edge], seen)
            if told:
                seen.differences.append(told)
        if len(seen.differences) >= enough:
            break
        seen.states += 1
        if source % 500 == 0:
            progress(f"states walked: {source:,} of {len(graph.states):,}")
    return seen


def _take(bounds: Bounds, graph: Graph, way: Sequence[Edge], seen: Walked) -> str:
    """Take a way; what differs after its last step, or after the refused events there."""
    last, steps = way[-1], " ".join(e.instance.label for e in way)
    seen.transitions += 1
    try:
        stage = rehearse(bounds, way)
    except Exception as error:
        # No step of the model raises anything, whoever takes it.
        return f"after {steps}: {type(error).__name__}: {error}"
    told = difference(stage, graph.names, graph.states[last.target])
    if not told and graph.first_edge[last.target] is last:
        told = _refusals(stage, graph, last.target, seen)
    if not told:
        try:
            stage.end()
        except (AssertionError, PoolImbalance) as error:
            told = f"and everybody lets go: {error}"
    return f"after {steps}: {told}" if told else ""


def _refusals(stage: Stage, graph: Graph, state: int, seen: Walked) -> str:
    try:
        seen.refusals += stage.refusals()
    except AssertionError as error:
        return str(error)
    told = difference(stage, graph.names, graph.states[state])
    return f"and refused events: {told}" if told else ""


def emitted_equals_tables() -> Iterator[str]:
    """Each difference between an emitted function and its table, over small values of everything.

    Yields one line for each difference, and at the end the number of calls compared.
    """
    count = 0
    for event in SLOT.events.values():
        takes, returns = frame(SLOT, event)
        nodes = {n: SLOT.fields[n].node for n in takes} | {str(p.data[0]): p for p in event.params}
        ranges = [_values(name, node) for name, node in nodes.items()]
        function = getattr(_lifecycle, event.name)
        for values in itertools.product(*ranges):
            expected = by_table(event, dict(zip(nodes, map(int, values), strict=True)), returns)
            count += 1
            if tuple(map(int, function(*values))) != expected:
                yield f"{event.name}{values} gives {function(*values)}, the table {expected}"
    yield f"{count:,} calls compared"


def _values(name: str, node: Expr) -> Sequence[int | bool]:
    if isinstance(node, BoolExpr):
        return (False, True)
    enum = name in SLOT.fields and SLOT.fields[name].kind is not None
    return (0, 1, 2) if enum or name == "held" else (0, 1)


# ---------------------------------------------------------------------------------------- rows


def rows() -> Iterator[Row]:
    """One row for the emitted code, one for each stage."""
    started = time.perf_counter()
    *wrong, count = emitted_equals_tables()
    yield Row(
        f"the emitted code does what the tables say: {count}",
        "each function against the interpreter",
        Verdict.REFUTED if wrong else Verdict.CONFIRMED,
        "every state, lease and flag; counts 0 to 2, generations and marks 0 to 1",
        time.perf_counter() - started,
        "larger counts (the contracts hold for all)",
        tuple(wrong[:ENOUGH]),
    )
    for bounds in (BOUNDS, TWO_SLOTS):
        started = time.perf_counter()
        seen = walk(bounds)
        yield Row(
            f"the real pool refines the model: {seen.states:,} states, {seen.transitions:,} "
            f"transitions taken, {seen.refusals:,} refused events tried",
            "driven through the whole graph, compared by the abstraction",
            Verdict.REFUTED if seen.differences else Verdict.CONFIRMED,
            " ".join(f"{k}={v}" for k, v in vars(bounds).items()),
            time.perf_counter() - started,
            "interleavings inside an event: the lock's business",
            tuple(seen.differences[:ENOUGH]),
        )
