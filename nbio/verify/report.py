"""Verdicts and counterexamples as text: one column an actor, what changed beside each step.

A trace is at most 100 columns wide. Rows are steps, numbered from 1; the step's text stands in its
actor's column; what it changed stands under the table's last heading, most telling first.
"""

from __future__ import annotations

import textwrap
from itertools import pairwise
from typing import Final, NamedTuple

from nbio.verify.check import PropertyResult, Report
from nbio.verify.engine import Exploration, Verdict
from nbio.verify.program import Program
from nbio.verify.runs import Trace

WIDTH: Final = 100
CHANGED: Final = 26
"""The least room for what changed, in columns."""
_MARK: Final = {Verdict.CONFIRMED: "ok ", Verdict.REFUTED: "NO ", Verdict.UNKNOWN: " ? "}


class Row(NamedTuple):
    """One row of a trace: its number or numbers, who acts, what is said, what it changed."""

    number: str
    actor: str
    said: str
    changes: str


def render(report: Report, traces: str = "first", command: str = "", *, fold: bool = False) -> str:
    """The whole report, with counterexamples.

    ``traces``: ``"none"``, ``"first"`` (the shortest), ``"all"``, or the name of one property.
    ``fold``: see :func:`columns`.
    """
    lines = [heading(report), ""]
    lines += [_line(r) for r in report.results]
    lines += [f"  warning: {w}" for w in report.warnings]
    refuted = [r for r in report.results if r.trace]
    refuted.sort(key=lambda r: r.depth or 0)
    if traces in ("none", "first"):
        refuted = refuted[: int(traces == "first")]
    elif traces != "all":
        refuted = [r for r in refuted if r.name == traces]
    for result in refuted:
        lines += ["", story(report, result, command, fold=fold)]
    return "\n".join(lines)


def heading(report: Report) -> str:
    """Model, bounds, verdict and counts in two lines."""
    words = {
        Verdict.CONFIRMED: "no violation within these bounds",
        Verdict.REFUTED: "refuted",
        Verdict.UNKNOWN: "unknown",
    }
    name, verdict = report.model.name, report.verdict
    first = f"{name}: {verdict.name} ({words[verdict]}: {report.bounds})"
    return f"{first}\n  {counts(report.found)}"


def counts(found: Exploration) -> str:
    """How much was seen, and how fast, in one line."""
    rate = found.transitions / found.seconds if found.seconds else 0.0
    orbits = f" (orbits under the symmetry of {found.symmetry})" if found.symmetry else ""
    return (
        f"{found.states:,} states{orbits}, {found.transitions:,} transitions, "
        f"depth {found.depth}, {found.seconds:.1f} s, {rate / 1e6:.1f} M transitions/s"
    )


def _line(result: PropertyResult) -> str:
    at = "" if result.depth is None else f" [{result.depth} steps]"
    text = f"  {_MARK[result.verdict]}{result.kind} {result.name}{at}: {result.because}"
    return text if len(text) <= WIDTH else text[: WIDTH - 3] + "..."


def story(report: Report, result: PropertyResult, command: str = "", *, fold: bool = False) -> str:
    """The shortest counterexample of one property, told a column an actor."""
    steps = len(result.trace) - 1
    head = f"{result.name} is violated after {steps} steps: not {result.because!r}"
    lines = [head, *columns(report.found.program, result.trace, fold=fold)]
    if result.lasso == steps:
        lines.append("and there it stays, for ever")
    elif result.lasso is not None:
        lines.append(f"and so on for ever: after {steps} comes {result.lasso + 1} again")
    if command:
        lines.append(f"replay: {command}")
    return "\n".join(lines)


def columns(program: Program, trace: Trace, *, fold: bool = False) -> list[str]:
    """The trace as a table of at most :data:`WIDTH` columns.

    ``fold``: a step that changes nothing to be seen shares the row of its actor's next step.
    """
    rows = _rows(program, trace)
    begins = _begins(program, trace)
    if not rows:
        return begins
    if fold:
        rows = _folded(rows)
    actors = list(dict.fromkeys(row.actor for row in rows))
    number = max(len(row.number) for row in rows)
    room = max(12, (WIDTH - number - CHANGED - 3) // max(1, len(actors)) - 3)
    width = min(room, max(len(text) for row in rows for text in (row.said, row.actor)))
    head = " | ".join([" " * number, *(f"{a[:width]:<{width}}" for a in actors), "changed"])
    lines = [*begins, head.rstrip(), "-" * min(WIDTH, len(head) + CHANGED - 7)]
    for row in rows:
        cells = [textwrap.wrap(row.said, width) if row.actor == a else [] for a in actors]
        cells.append(textwrap.wrap(row.changes, WIDTH - number - (width + 3) * len(actors) - 3))
        for k in range(max(len(c) for c in cells)):
            parts = [f"{row.number if k == 0 else '':>{number}}"]
            parts += [f"{c[k] if k < len(c) else '':<{width}}" for c in cells[:-1]]
            parts.append(cells[-1][k] if k < len(cells[-1]) else "")
            lines.append(" | ".join(parts).rstrip().rstrip("|").rstrip())
    return lines


def _folded(rows: list[Row]) -> list[Row]:
    """Rows in which a step without a change to be seen stands with its actor's next one.

    Two in a row at the most, to be read at a glance.
    """
    folded: list[Row] = []
    for row in rows:
        before = folded[-1] if folded else None
        alone = before is None or before.changes or "-" in before.number
        if before is None or alone or before.actor != row.actor:
            folded.append(row)
            continue
        # What both begin with ("release: Close ") is said once.
        whom = before.said.partition(": ")[0] + ": "
        said = f"{before.said}; {row.said.removeprefix(whom)}"
        folded[-1] = Row(f"{before.number}-{row.number}", row.actor, said, row.changes)
    return folded


def _begins(program: Program, trace: Trace) -> list[str]:
    """What the initial state is, as far as that isn't always the same; all of it if alone."""
    cells = zip(program.cells, trace[0].state, strict=True)
    told = [
        f"{c.name}={c.variable.show(v)}"
        for c, v in cells
        if len(trace) == 1 or len(set(c.choices)) > 1
    ]
    return textwrap.wrap(f"initially {', '.join(told)}", WIDTH) if told else []


def _rows(program: Program, trace: Trace) -> list[Row]:
    rows: list[Row] = []
    for before, step in pairwise(trace):
        if step.instance is None:
            continue
        action, values = step.instance.action, step.instance.values
        actor = action.fill(action.actor, values) or "system"
        said = action.fill(action.say, values)
        said = said.removeprefix(f"{actor}: ")
        changes = [
            f"{c.name}={c.variable.show(b)}"
            for c, a, b in zip(program.cells, before.state, step.state, strict=True)
            if a != b and not c.variable.hidden
        ]
        rows.append(Row(str(len(rows) + 1), actor, said, ", ".join(changes)))
    return rows
