"""Counterexamples of the history as stories that can be read back.

A story is the checker's table of a trace under a line that names the property, with the command
that finds it. :func:`read` gives its steps as they stand there; :func:`walk` takes them through the
model with the plain interpreter, so that what a story tells is known to be a run of the model, and
the violation to come with its last step and not before.
"""

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from model import claims
from model.history import BEYOND, CONFIGURATIONS, DESIGNS
from model.registry import build
from nbio.verify.check import check
from nbio.verify.expr import as_bool
from nbio.verify.ints import Interpreter
from nbio.verify.program import Program
from nbio.verify.report import columns
from nbio.verify.runs import Trace, TraceStep
from nbio.verify.spec import Model, Property

Said = tuple[str, str]
"""A step as a story has it: who, and what is said of it."""


class StoryError(Exception):
    """A story is no run of its model; the message names the step."""


@dataclass(frozen=True)
class Cell:
    """A design in a configuration, and the properties whose stories are told."""

    name: str
    claim: claims.Claim
    properties: tuple[str, ...]

    @property
    def model(self) -> Model:
        """The model at the claim's bounds."""
        return build(self.name, {})


def cells() -> Iterator[Cell]:
    """Every refuted cell of the matrix and what stands beside it.

    In ordinary use, and beside the reader, each refuted property has its story; with three requests
    P5 has, which needs them; elsewhere the one that needs fewest steps.
    """
    found = {c.name: c for c in claims.load()}
    names = [f"{d}-{c}" for d in DESIGNS for c in CONFIGURATIONS]
    for name in (*names, *BEYOND):
        steps = found[name].refuted()
        told = sorted(steps, key=lambda p: (steps[p], p))
        if name.endswith("-A3"):
            told = [p for p in told if p == "P5"]
        elif not name.endswith("-A") and name not in BEYOND:
            told = told[:1]
        if told:
            yield Cell(name, found[name], tuple(told))


def search(cell: Cell) -> dict[str, Trace]:
    """Find the shortest counterexamples of a cell again."""
    report = check(cell.model)
    return {p: report.result(p).trace for p in cell.properties}


def written(cell: Cell, model: Model, traces: dict[str, Trace]) -> str:
    """The stories of a cell."""
    told = [f"{cell.name}: {cell.claim.says}", *textwrap.wrap(model.doc, 100)]
    program = Program(model)
    for name in cell.properties:
        told += ["", *_told(cell, program, _property(model, name), traces[name])]
    return "\n".join(told) + "\n"


def _told(cell: Cell, program: Program, prop: Property, trace: Trace) -> list[str]:
    return [
        f"{prop.name} is violated after {len(trace) - 1} steps: not {prop.because!r}",
        *columns(program, trace),
        f"replay: python -m model check {cell.name} --traces {prop.name}",
    ]


def _property(model: Model, name: str) -> Property:
    return next(p for p in model.properties if p.name == name)


# -------------------------------------------------------------------------- reading back


def read(text: str) -> dict[str, list[Said]]:
    """The steps of each story in a text, by property."""
    found: dict[str, list[Said]] = {}
    steps: list[Said] = []
    actors: list[str] = []
    for line in text.splitlines():
        if begins := re.match(r"(P\d+) is violated", line):
            steps = found.setdefault(begins[1], [])
        elif line.startswith("  ") and "changed" in line and " | " in line:
            actors = [part.strip() for part in line.split(" | ")[1:-1]]
        elif " | " in line and (parts := f"{line} ".split(" | ")):
            _take(steps, actors, parts)
    return found


def _take(steps: list[Said], actors: Sequence[str], parts: Sequence[str]) -> None:
    """One line of a table: a new step, or more of the one above."""
    cells = [part.strip() for part in parts[1 : len(actors) + 1]]
    for actor, cell in zip(actors, cells, strict=False):
        if not cell:
            continue
        if parts[0].strip():
            steps.append((actor, cell))
        else:
            steps[-1] = (actor, f"{steps[-1][1]} {cell}")


def walk(model: Model, name: str, steps: Sequence[Said]) -> Trace:
    """Take a story's steps one by one; StoryError where one is none, or the end is not as told."""
    program = Program(model)
    interpreter = Interpreter(program)
    holds = as_bool(program.lower(_property(model, name).holds))
    trace = [TraceStep(None, interpreter.starts()[0])]
    for number, (actor, said) in enumerate(steps, 1):
        if not interpreter.value(holds, trace[-1].state):
            raise StoryError(f"{name} is violated before step {number}")
        trace.append(_step(interpreter, trace[-1].state, number, actor, said))
    if interpreter.value(holds, trace[-1].state):
        raise StoryError(f"{name} still holds after the last step")
    return trace


def _step(
    interpreter: Interpreter, state: tuple[int, ...], number: int, actor: str, said: str
) -> TraceStep:
    wanted = "".join(f"{actor}: {said}".split())
    for instance in interpreter.program.instances:
        action, values = instance.action, instance.values
        who = action.fill(action.actor, values)
        told = "".join(f"{who}: {action.fill(action.say, values)}".split())
        if told == wanted and interpreter.enabled(instance, state):
            return TraceStep(instance, interpreter.apply(instance, state))
    raise StoryError(f"step {number} is none of the model there: {actor}: {said}")
