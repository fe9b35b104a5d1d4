"""A report as one HTML file, to step through a counterexample and to walk about a small model.

The page asks the network for nothing (its own policy forbids it). What a model calls things is put
into it as JSON, from which a name can't break out, and shown as text, never as markup.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Final

from nbio.verify.check import Report
from nbio.verify.drawing import Graph
from nbio.verify.expr import ModelError
from nbio.verify.outputs import Json, rows
from nbio.verify.report import counts

DRAWN: Final = 300
"""States of the largest model whose graph is put into the page."""


def as_html(report: Report, target: str = "") -> str:
    """The whole page."""
    page = (files("nbio.verify") / "report_page.html").read_text(encoding="utf-8")
    return page.replace("@DATA@", embedded(_data(report, target)))


def embedded(value: Json) -> str:
    """JSON that may stand in a script element: nothing in it can end or comment out the element."""
    text = json.dumps(value, ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _data(report: Report, target: str) -> Json:
    return {
        "model": report.model.name,
        "target": target,
        "verdict": report.verdict.name,
        "bounds": report.bounds,
        "counts": counts(report.found),
        "warnings": list(report.warnings),
        "properties": [
            {
                "name": r.name,
                "kind": r.kind,
                "because": r.because,
                "verdict": r.verdict.name,
                "depth": r.depth,
                "lasso": r.lasso,
                "trace": list(rows(report.found.program, r.trace)),
            }
            for r in report.results
        ],
        "graph": _graph(report),
    }


def _graph(report: Report) -> Json:
    why = ""
    if report.found.stopped:
        why = "The graph is left out, as the search stopped early."
    elif report.found.states > DRAWN:
        why = f"The graph is left out: it has more than {DRAWN} states."
    if why:
        return {"nodes": [], "edges": [], "why": why}
    try:
        # Under a symmetry this is the whole graph, not one of orbits: it may be larger.
        graph = Graph.of(report.model, DRAWN)
    except ModelError as error:
        return {"nodes": [], "edges": [], "why": f"The graph is left out: {error}."}
    return {
        "nodes": [
            {"lines": list(n.lines), "initial": n.initial, "marks": [*n.marks]} for n in graph.nodes
        ],
        "edges": [[a, b, label] for a, b, label in graph.edges],
        "why": "",
    }
