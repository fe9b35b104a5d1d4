"""A report for machines: JSON, JUnit XML, GitHub annotations; and for pytest, an assertion.

JSON (``"schema": "nbio.verify/1"``; later versions only add keys)::

    schema, model, target, verdict ("CONFIRMED" | "REFUTED" | "UNKNOWN"), exit_code (0 | 1 | 3)
    constants   {name: number}
    search      states, transitions, generated, initial, depth, seconds, complete, stopped, symmetry
    actions     {name: how many transitions are its}
    warnings    [text]
    properties  [{name, kind, because, verdict, file, line, depth, lasso, trace}]
    trace       [{step, action, actor, says, changed: {cell: value}, state: {cell: value}}]

``depth`` counts steps of the shortest counterexample (of a ``sometimes``: to the first witness), or
is null. ``lasso`` is the step to which a ``leads_to`` counterexample returns for ever. Step 0 of a
trace is the initial state: its ``action`` is null. Values are written as the model's author would
(``"OPEN"``, ``"yes"``, ``"3"``).
"""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from nbio.verify.check import PropertyResult, Report, check
from nbio.verify.engine import Bounds, Verdict
from nbio.verify.program import Program
from nbio.verify.report import heading, render, story
from nbio.verify.runs import Trace, TraceStep
from nbio.verify.spec import Model

_LOSSY: Final = "backslashreplace"
SCHEMA: Final = "nbio.verify/1"
Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None
NOTHING_CLAIMED: Final = "the model states no property, so nothing was checked"


def assert_confirmed(model: Model, bounds: Bounds | None = None) -> Report:
    """For pytest: AssertionError with the counterexamples unless every property is confirmed.

    A search that met one of the ``bounds`` is UNKNOWN and fails too.
    """
    __tracebackhide__ = True
    report = check(model, bounds)
    if report.verdict is not Verdict.CONFIRMED:
        raise AssertionError(render(report, "all"))
    return report


# --------------------------------------------------------------------------------- JSON


def as_json(report: Report, target: str = "") -> str:
    """The report in the schema above."""
    f = report.found
    search: Json = {
        "states": f.states,
        "transitions": f.transitions,
        "generated": f.generated,
        "initial": f.initial,
        "depth": f.depth,
        "seconds": round(f.seconds, 3),
        "complete": not f.stopped,
        "stopped": f.stopped,
        "symmetry": str(f.symmetry) if f.symmetry else None,
    }
    whole: Json = {
        "schema": SCHEMA,
        "model": report.model.name,
        "target": target,
        "verdict": report.verdict.name,
        "exit_code": report.verdict.exit_code,
        "constants": dict(report.model.constants),
        "search": search,
        "actions": dict(f.taken),
        "warnings": list(report.warnings),
        "properties": [_property(report, r) for r in report.results],
    }
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def _property(report: Report, result: PropertyResult) -> Json:
    file, line = place_of(report.model, result)
    return {
        "name": result.name,
        "kind": result.kind,
        "because": result.because,
        "verdict": result.verdict.name,
        "file": file or None,
        "line": line or None,
        "depth": result.depth,
        "lasso": result.lasso,
        "trace": list(rows(report.found.program, result.trace)),
    }


def rows(program: Program, trace: Trace) -> Iterator[Json]:
    """A trace's steps as JSON values."""
    for number, step in enumerate(trace):
        told = _who(step)
        before = trace[number - 1].state if number else step.state
        state = program.show(step.state)
        changed = {
            c.name: state[c.name]
            for c, a, b in zip(program.cells, before, step.state, strict=True)
            if a != b
        }
        yield {"step": number, **told, "changed": dict(changed), "state": dict(state)}


def _who(step: TraceStep) -> dict[str, Json]:
    if step.instance is None:
        return {"action": None, "actor": None, "says": None}
    action, values = step.instance.action, step.instance.values
    actor = action.fill(action.actor, values) or "system"
    said = action.fill(action.say, values).removeprefix(f"{actor}: ")
    return {"action": step.instance.label, "actor": actor, "says": said}


def place_of(model: Model, result: PropertyResult) -> tuple[str, int]:
    """File and line that state a property; ``("", 0)`` of the built-in ``deadlock``."""
    for prop in model.properties:
        if (prop.name, prop.kind) == (result.name, result.kind):
            file, _, line = prop.place.rpartition(":")
            return file, int(line)
    return "", 0


# ---------------------------------------------------------------------------- JUnit XML


def as_junit(report: Report, target: str = "") -> str:
    """One test case a property: refuted is a failure with the story, unknown is an error."""
    from xml.etree import ElementTree

    suite = ElementTree.Element("testsuite", name=_clean(target or report.model.name))
    for r in report.results:
        case = ElementTree.SubElement(
            suite, "testcase", classname=_clean(report.model.name), name=_clean(_title(r)), time="0"
        )
        file, line = place_of(report.model, r)
        if file:
            case.set("file", _clean(os.path.relpath(file)))
            case.set("line", str(line))
        if r.verdict is not Verdict.CONFIRMED:
            kind = "failure" if r.verdict is Verdict.REFUTED else "error"
            mark = ElementTree.SubElement(
                case, kind, message=_clean(r.because), type=r.verdict.name
            )
            mark.text = _clean(_detail(report, r))
    if not report.results:
        # A suite of no tests would read as a pass.
        case = ElementTree.SubElement(suite, "testcase", classname=report.model.name, name="claims")
        ElementTree.SubElement(case, "error", message=NOTHING_CLAIMED, type="UNKNOWN")
    said = ElementTree.SubElement(suite, "system-out")
    said.text = _clean("\n".join([heading(report), *report.warnings]))
    counts = {
        "tests": len(suite.findall("testcase")),
        "failures": len(suite.findall("testcase/failure")),
        "errors": len(suite.findall("testcase/error")),
    }
    top = ElementTree.Element("testsuites")
    top.append(suite)
    for element in (top, suite):
        element.set("time", f"{report.found.seconds:.3f}")
        for name, number in counts.items():
            element.set(name, str(number))
    ElementTree.indent(top, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(top, "unicode") + "\n"


def _title(result: PropertyResult) -> str:
    return f"{result.kind} {result.name}"


def _detail(report: Report, result: PropertyResult) -> str:
    """Why a property isn't confirmed: its counterexample, or what is known instead."""
    if result.trace:
        return story(report, result)
    if result.verdict is Verdict.UNKNOWN:
        return f"{result.name} is unknown: {report.found.stopped or 'it was not decided'}"
    if result.kind == "sometimes":
        return f"{result.name} holds in none of {report.found.states:,} reachable states"
    return f"{result.name} is violated after {result.depth} steps: not {result.because!r}"


def _clean(text: str) -> str:
    """Without the characters that XML 1.0 can't hold."""
    return "".join(
        c if c in "\t\n\r" or " " <= c <= "\ud7ff" or c >= "\ue000" else "?" for c in text
    )


# ------------------------------------------------------------------ GitHub annotations


def as_github(report: Report, target: str = "") -> str:
    """A workflow command for each property that is not confirmed, at the line that states it."""
    lines = [heading(report)]
    for r in report.results:
        if r.verdict is not Verdict.CONFIRMED:
            where = _annotated(*place_of(report.model, r), target)
            lines.append(
                _command("error", where, f"{_title(r)}: {r.verdict.name}", _detail(report, r))
            )
    if not report.results:
        lines.append(_command("error", _annotated("", 0, target), "UNKNOWN", NOTHING_CLAIMED))
    lines += [
        _command("warning", _warned_at(warning, target), report.model.name, warning)
        for warning in report.warnings
    ]
    return "\n".join(lines) + "\n"


def _annotated(file: str, line: int, target: str) -> dict[str, str]:
    if not file:
        source = target.rpartition(":")[0]
        return {"file": source} if source.endswith(".py") else {}
    return {"file": os.path.relpath(file), "line": str(line)}


def _warned_at(warning: str, target: str) -> dict[str, str]:
    """Where a warning that begins with ``file:line:`` points."""
    file, _, line = warning.partition(": ")[0].rpartition(":")
    return _annotated(file, int(line), target) if line.isdigit() else _annotated("", 0, target)


def _command(kind: str, where: dict[str, str], title: str, message: str) -> str:
    fields = {**where, "title": title}
    told = ",".join(
        f"{k}={_escaped(v).replace(':', '%3A').replace(',', '%2C')}" for k, v in fields.items()
    )
    return f"::{kind} {told}::{_escaped(message)}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


FORMATS: Final[dict[str, Callable[[Report, str], str]]] = {
    "json": as_json,
    "junit": as_junit,
    "github": as_github,
}


# --------------------------------------------------------------------------- to a file


class OutputError(Exception):
    """A report can't be written; the message is one line that says where and why."""


@contextmanager
def opened(path: str) -> Iterator[Callable[[str], None]]:
    """What writes a whole text to ``path`` (``-``: standard output).

    Nothing appears where the block raises; OutputError where it can't be written.
    """
    aside = None
    if path != "-":
        with _told(path):
            aside = Aside(path)

    def write(text: str) -> None:
        with _told("standard output" if path == "-" else path):
            if aside:
                aside.finish(text)
            else:
                # What the terminal's encoding lacks must not end a finished check in an error.
                encoding = sys.stdout.encoding
                sys.stdout.write(text.encode(encoding, _LOSSY).decode(encoding))
                sys.stdout.flush()

    try:
        yield write
    finally:
        if aside:
            aside.drop()


@contextmanager
def _told(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        raise OutputError(f"the report can't be written to {path}: {why}") from error


class Aside:
    """A file that appears at ``path`` only when it is complete.

    Made before a long search, so that a path that can't be written is told at once; an older report
    there is removed, as it must not be taken for this run's.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(os.path.realpath(path))
        if self.path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        # Renaming onto /dev/stdout or a pipe would replace it.
        self._special = self.path.exists() and not self.path.is_file()
        self._part = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        if not self._special:
            self._part.touch()
            self.path.unlink(missing_ok=True)

    def finish(self, text: str) -> None:
        """Write the whole text, then let it appear."""
        with open(
            self.path if self._special else self._part, "w", encoding="utf-8", errors=_LOSSY
        ) as file:
            file.write(text)
            file.flush()
            if not self._special:
                os.fsync(file.fileno())
        if not self._special:
            os.replace(self._part, self.path)

    def drop(self) -> None:
        """Leave nothing beside the report (which stays, where it was finished)."""
        self._part.unlink(missing_ok=True)
