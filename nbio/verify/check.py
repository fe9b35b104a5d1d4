"""From a model to verdicts: one search, one verdict a property, never more than was seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from nbio.verify.engine import (
    DEADLOCK,
    Bounds,
    Exploration,
    Progress,
    Search,
    Trace,
    Verdict,
    shortest_trace,
)
from nbio.verify.spec import Model


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
) -> Report:
    """Explore ``model`` breadth-first and judge its properties.

    A search that stopped early confirms nothing: what it did not refute is UNKNOWN. A model without
    a single property is UNKNOWN too. Raises :class:`~nbio.verify.expr.ModelError` where the model
    itself is wrong. ``until_refuted`` stops at the first violation (counts are then partial).
    States that differ by a renaming of ``symmetric`` indices are counted as one, unless
    ``symmetry`` is False.
    """
    search = Search(
        model, bounds or Bounds(), progress, until_refuted=until_refuted, symmetry=symmetry
    )
    found = search.run()
    results = [
        _judged(found, p.name, p.kind, p.because, traces)
        for p in model.properties
        if p.kind != "leads_to"
    ]
    results += _live(found, bounds or Bounds())
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
    if found.stopped or not wanted:
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
    if found.stopped:
        return [f"stopped early: {found.stopped}; what was not refuted is UNKNOWN", *told]
    return told + [
        f"{action.place}: action {action.name} never happens in any reachable state"
        for action in found.program.model.actions
        if not found.taken[action.name] and not action.never
    ]
