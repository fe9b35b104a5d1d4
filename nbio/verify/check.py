"""From a model to verdicts: one search, one verdict a property, never more than was seen."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from nbio.verify.engine import DEADLOCK, Bounds, Exploration, Progress, Search, Verdict
from nbio.verify.expr import ModelError, as_bool
from nbio.verify.names import never_equal
from nbio.verify.runs import Trace, shortest_trace
from nbio.verify.spec import Model, Property

if TYPE_CHECKING:
    from nbio.verify.crew import Submits


@dataclass(frozen=True)
class PropertyResult:
    """What one property came to. ``depth``: steps of the shortest counterexample (or witness).

    ``lasso`` is set for a refuted ``leads_to``: after its last state the run goes on as it did
    after state ``lasso`` of the trace, for ever (it stays, where that is the last state itself).
    """

    name: str
    kind: str
    because: str
    verdict: Verdict
    depth: int | None = None
    trace: Trace = field(default_factory=list)
    lasso: int | None = None


@dataclass(frozen=True)
class Report:
    """Every verdict on a model, with the bounds it holds within and the size of what was seen."""

    model: Model
    found: Exploration
    results: tuple[PropertyResult, ...]
    warnings: tuple[str, ...]

    @property
    def verdict(self) -> Verdict:
        """The weakest of all results."""
        return min((r.verdict for r in self.results), default=Verdict.UNKNOWN)

    @property
    def bounds(self) -> str:
        """The model's constants as ``slots=2 requests=3``."""
        return " ".join(f"{k}={v}" for k, v in self.model.constants.items()) or "no constants"

    def result(self, name: str) -> PropertyResult:
        """The result of the named property; KeyError where the model has no such."""
        for result in self.results:
            if result.name == name:
                return result
        known = ", ".join(r.name for r in self.results)
        raise KeyError(f"model {self.model.name} has no property {name!r}; it has {known}")


def check(
    model: Model,
    bounds: Bounds | None = None,
    progress: Callable[[Progress], None] | None = None,
    traces: bool = True,
    until_refuted: bool = False,
    symmetry: bool = True,
    workers: int = 1,
) -> Report:
    """Explore ``model`` breadth-first and judge its properties.

    A search that stopped early confirms nothing: what it did not refute is UNKNOWN. A model without
    a single property is UNKNOWN too. Raises :class:`~nbio.verify.expr.ModelError` where the model
    itself is wrong. ``until_refuted`` stops at the first violation (counts are then partial).
    States that differ by a renaming of ``symmetric`` indices are counted as one, unless
    ``symmetry`` is False. ``workers``: processes that share the search, with the same result; it
    raises :class:`~nbio.verify.crew.WorkerLostError` when one of them dies. A model with a
    ``leads_to`` is searched by one.
    """
    limits = bounds or Bounds()
    live = any(p.kind == "leads_to" for p in model.properties)
    if workers > 1 and not live:
        from nbio.verify.crew import ForkedCrew
        from nbio.verify.shards import ShardedSearch, prepared

        idle = prepared(model, limits, symmetry, workers)
        with ForkedCrew(idle, workers) as crew:
            sharded = ShardedSearch(idle, crew, limits, progress, until_refuted)
            return _report(sharded.run(), limits, traces)
    search = Search(model, limits, progress, until_refuted=until_refuted, symmetry=symmetry)
    report = _report(search.run(), limits, traces)
    if workers > 1:
        told = "leads_to is judged by one process: no workers were used"
        report = replace(report, warnings=(told, *report.warnings))
    return report


def check_on(
    executors: Sequence[Submits],
    make: Callable[[], Model],
    bounds: Bounds | None = None,
    progress: Callable[[Progress], None] | None = None,
    traces: bool = True,
    symmetry: bool = True,
) -> Report:
    """As :func:`check`, with a share of the states in each of somebody's executors.

    See :class:`~nbio.verify.crew.ExecutorCrew` for what they must be. ``make`` builds the model,
    here and there. A ``leads_to`` is a ModelError: it needs the whole graph in one place.
    """
    from nbio.verify.crew import ExecutorCrew
    from nbio.verify.shards import ShardedSearch

    model, limits = make(), bounds or Bounds()
    for p in model.properties:
        if p.kind == "leads_to":
            raise ModelError(f"{p.place}: leads_to {p.name} can't be judged on executors")
    with ExecutorCrew(make, limits, symmetry, executors) as crew:
        idle = Search(model, symmetry=symmetry)
        return _report(ShardedSearch(idle, crew, limits, progress).run(), limits, traces)


def _report(found: Exploration, bounds: Bounds, traces: bool) -> Report:
    model = found.program.model
    results = [
        _judged(found, p.name, p.kind, p.because, traces)
        for p in model.properties
        if p.kind != "leads_to"
    ]
    results += _live(found, bounds)
    if model.checks_deadlock:
        because = "every state has a successor, or is done"
        results.append(_judged(found, DEADLOCK, "always", because, traces))
    return Report(model, found, tuple(results), tuple(_warnings(found)))


def _judged(found: Exploration, name: str, kind: str, because: str, traces: bool) -> PropertyResult:
    key = f"sometimes {name}" if kind == "sometimes" else name
    seen = key in found.first
    complete = not found.stopped
    if kind == "sometimes":
        verdict = Verdict.CONFIRMED if seen else Verdict.REFUTED if complete else Verdict.UNKNOWN
    else:
        verdict = Verdict.REFUTED if seen else Verdict.CONFIRMED if complete else Verdict.UNKNOWN
    depth = found.first[key][0] if seen else None
    told = traces and seen and kind == "always"
    return PropertyResult(
        name, kind, because, verdict, depth, shortest_trace(found, key) if told else []
    )


def _live(found: Exploration, bounds: Bounds) -> list[PropertyResult]:
    """Every ``leads_to``; UNKNOWN where the search, or the look at its graph, stopped early."""
    wanted = [p for p in found.program.model.properties if p.kind == "leads_to"]
    unknown = [PropertyResult(p.name, p.kind, p.because, Verdict.UNKNOWN) for p in wanted]
    if found.stopped or not wanted or found.cut:
        return unknown
    from nbio.verify.liveness import GaveUpError, Liveness

    try:
        graph = Liveness(found, bounds)
        lassos = [(p, graph.violation(p)) for p in wanted]
    except GaveUpError as error:
        found.stopped = str(error)
        return unknown
    return [
        PropertyResult(p.name, p.kind, p.because, Verdict.CONFIRMED)
        if lasso is None
        else PropertyResult(
            p.name,
            p.kind,
            p.because,
            Verdict.REFUTED,
            len(lasso.trace) - 1,
            lasso.trace,
            lasso.start,
        )
        for p, lasso in lassos
    ]


def _warnings(found: Exploration) -> list[str]:
    told = [f"not reduced by symmetry: {found.not_reduced}"] if found.not_reduced else []
    told += _cut_off(found)
    if found.stopped:
        return [f"stopped early: {found.stopped}; what was not refuted is UNKNOWN", *told]
    told += _never(found)
    told += [f"{p.place}: {p.kind} {p.name} {why}" for p, why in _vacuous(found)]
    return told + [
        f"{p.place}: {p.kind} {p.name} {why}"
        for p in found.program.model.properties
        for part in (p.holds, p.then)
        for why in never_equal(part, found.program.model)
    ]


def _never(found: Exploration) -> Iterator[str]:
    """Actions that no state enables; those that were made in one place, by a loop, together."""
    places: dict[str, list[str]] = {}
    for action in found.program.model.actions:
        if not found.taken[action.name] and not action.never:
            places.setdefault(action.place, []).append(action.name)
    for place, names in places.items():
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        those = f"actions {', '.join(names[:3])}{more} never happen"
        one = f"action {names[0]} never happens"
        yield f"{place}: {one if len(names) == 1 else those} in any reachable state"


def _cut_off(found: Exploration) -> list[str]:
    model = found.program.model
    if not found.cut:
        return []
    condition = textwrap.shorten(str(model.constraint), 80, placeholder=" ...")
    where = f"within ({model.constraint_because}: {condition})"
    told = [f"{found.cut:,} steps led out of {where}: every verdict holds inside it only"]
    if any(p.kind == "leads_to" for p in model.properties):
        told.append("leads_to is UNKNOWN where steps are cut off: a run may go on outside")
    return told


def _vacuous(found: Exploration) -> Iterator[tuple[Property, str]]:
    """Properties that say nothing: about no variable, or of a premise that is never met."""
    program = found.program
    for p in program.model.properties:
        parts = [program.holds(p), as_bool(program.lower(p.then))]
        if all(part.op == "bool" for part in parts):
            yield p, "is about no variable: it says nothing of the model"
        elif p.kind != "sometimes" and p.name in found.unmet:
            yield p, "says nothing: its premise is met in no reachable state"
