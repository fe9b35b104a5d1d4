"""Random walks: for models too large to finish. They can refute, never confirm.

Many walkers step at once, as columns: each picks one of its enabled steps at random, all alike. The
first violation of each property becomes a counterexample: the walk without its detours (a way back
to a state it had been in is cut out), re-run by the plain interpreter. It need not be shortest.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nbio.verify.check import PropertyResult
from nbio.verify.columns import Columns
from nbio.verify.engine import DEADLOCK, Verdict
from nbio.verify.packing import Packing, Words
from nbio.verify.program import Program
from nbio.verify.report import WIDTH, columns
from nbio.verify.runs import Trace, TraceStep, rerun
from nbio.verify.spec import Model
from nbio.verify.stepping import initial_words, successors

WALKERS: Final = 1024
"""Walks made together: enough that NumPy's overhead per operation is shared."""
HISTORY: Final = 1 << 25
"""Most words kept to tell a walk afterwards; longer walks are made fewer at a time."""
Claim = tuple[str, str]
"""A property's kind and name: two properties of different kinds may share a name."""


@dataclass(frozen=True)
class Simulation:
    """What random walks found. A property is REFUTED or UNKNOWN; ``depth`` of a ``sometimes`` says
    after how many steps it was seen."""

    model: Model
    program: Program
    results: tuple[PropertyResult, ...]
    walks: int
    transitions: int
    longest: int
    seed: int
    seconds: float
    stopped: str

    @property
    def verdict(self) -> Verdict:
        """REFUTED where any property is; otherwise UNKNOWN, however many walks were made."""
        return min((r.verdict for r in self.results), default=Verdict.UNKNOWN)


@dataclass
class _Batch:
    """Walks made together: where each walker was after each step, and by which instance."""

    words: list[Words]
    taken: list[NDArray[np.intp]] = field(default_factory=list)

    def trace(self, program: Program, packing: Packing, walker: int) -> Trace:
        """One walker's way so far, without detours."""
        trace: Trace = []
        place: dict[tuple[int, ...], int] = {}
        for step, words in enumerate(self.words):
            state = packing.unpack_one(words[:, walker])
            if state in place:
                for gone in trace[place[state] + 1 :]:
                    del place[gone.state]
                del trace[place[state] + 1 :]
                continue
            instance = program.instances[int(self.taken[step - 1][walker])] if step else None
            place[state] = len(trace)
            trace.append(TraceStep(instance, state))
        rerun(program, trace)
        return trace


class Walks:
    """Random walks over one model."""

    def __init__(self, model: Model, seed: int) -> None:
        self.program = Program(model)
        self.packing = Packing(self.program.cells)
        self.found: dict[Claim, Trace] = {}
        self.transitions = self.longest = 0
        self._random = np.random.default_rng(seed)
        self._start = initial_words(self.program, self.packing)
        self._properties = [
            (p, self.program.holds(p)) for p in model.properties if p.kind != "leads_to"
        ]
        self._checks_deadlock = model.checks_deadlock
        always = sum(p.kind == "always" for p in model.properties)
        self.refutable = always + model.checks_deadlock

    @property
    def refuted(self) -> int:
        """How many properties have a counterexample."""
        return sum(kind == "always" for kind, _ in self.found)

    def walk(self, walkers: int, steps: int) -> None:
        """``walkers`` walks of at most ``steps`` steps each, from random initial states."""
        begin = self._random.integers(0, self._start.shape[1], walkers)
        batch = _Batch([self._start[:, begin]])
        alive = np.ones(walkers, dtype=np.bool_)
        for step in range(steps + 1):
            here = Columns(self.packing, self.program.position, batch.words[-1])
            guards = here.truths([i.guard for i in self.program.instances])
            enabled = np.array(guards, dtype=np.bool_).reshape(-1, walkers)
            stuck = ~enabled.any(axis=0)
            self._judge(batch, here, alive & stuck)
            alive &= ~stuck & here.truth(self.program.constraint)
            self.longest = max(self.longest, step)
            if step == steps or not alive.any():
                break
            self._step(batch, here, enabled, alive)

    def _step(
        self,
        batch: _Batch,
        here: Columns,
        enabled: NDArray[np.bool_],
        alive: NDArray[np.bool_],
    ) -> None:
        """Every live walker takes one of its enabled steps; the others stay where they are."""
        rank = self._random.integers(0, np.maximum(enabled.sum(axis=0), 1)) + 1
        chosen: NDArray[np.intp] = np.argmax(np.cumsum(enabled, axis=0) == rank, axis=0)
        after = here.words.copy()
        for number in np.unique(chosen[alive]):
            rows = np.flatnonzero(alive & (chosen == number))
            instance = self.program.instances[int(number)]
            after[:, rows] = successors(here, instance, rows, self.program)
        self.transitions += int(alive.sum())
        batch.words.append(after)
        batch.taken.append(chosen)

    def _judge(self, batch: _Batch, here: Columns, stuck: NDArray[np.bool_]) -> None:
        for prop, predicate in self._properties:
            if (prop.kind, prop.name) not in self.found:
                holds = here.truth(predicate)
                self._note(prop.kind, prop.name, batch, ~holds if prop.kind == "always" else holds)
        if self._checks_deadlock and stuck.any() and ("always", DEADLOCK) not in self.found:
            self._note("always", DEADLOCK, batch, stuck & ~here.truth(self.program.done))

    def _note(self, kind: str, name: str, batch: _Batch, where: NDArray[np.bool_]) -> None:
        if where.any():
            walker = int(np.argmax(where))
            self.found[kind, name] = batch.trace(self.program, self.packing, walker)


def simulate(
    model: Model,
    walks: int = 1000,
    steps: int = 1000,
    seed: int = 0,
    seconds: float = 0.0,
) -> Simulation:
    """Make random walks until they are done, or all that can be refuted is, or time is up.

    Ctrl-C ends it early too: what was refuted by then stays refuted.
    """
    started = time.perf_counter()
    made = Walks(model, seed)
    each = max(1, min(WALKERS, HISTORY // ((steps + 1) * (made.packing.words + 1))))
    done, stopped = 0, ""
    while done < walks and not stopped:
        now = min(each, walks - done)
        try:
            made.walk(now, steps)
            done += now
        except KeyboardInterrupt:
            stopped = "interrupted"
        if made.refuted == made.refutable:
            stopped = stopped or "every property that walks can refute is refuted"
        elif seconds and time.perf_counter() - started > seconds:
            stopped = stopped or f"more than {seconds:g} seconds"
    took = time.perf_counter() - started
    return Simulation(
        model,
        made.program,
        tuple(_results(model, made.found)),
        done,
        made.transitions,
        made.longest,
        seed,
        took,
        stopped,
    )


def _results(model: Model, found: Mapping[Claim, Trace]) -> Iterator[PropertyResult]:
    claims = [(p.kind, p.name, p.because) for p in model.properties]
    if model.checks_deadlock:
        claims.append(("always", DEADLOCK, "every state has a successor, or is done"))
    for kind, name, because in claims:
        trace = found.get((kind, name), [])
        refuted = bool(trace) and kind == "always"
        yield PropertyResult(
            name,
            kind,
            because,
            Verdict.REFUTED if refuted else Verdict.UNKNOWN,
            len(trace) - 1 if trace else None,
            trace if refuted else [],
        )


def told(simulation: Simulation, traces: str = "first", command: str = "") -> str:
    """The simulation as text; ``traces`` as for :func:`nbio.verify.report.render`."""
    s = simulation
    words = "refuted" if s.verdict is Verdict.REFUTED else "walks can't confirm anything"
    lines = [
        f"{s.model.name}: {s.verdict.name} ({words}; seed {s.seed})",
        (
            f"  {s.walks:,} walks of at most {s.longest:,} steps, {s.transitions:,} transitions, "
            f"{s.seconds:.1f} s"
        ),
        *([f"  stopped early: {s.stopped}"] if s.stopped else []),
        "",
        *map(_line, s.results),
    ]
    refuted = sorted((r for r in s.results if r.trace), key=lambda r: r.depth or 0)
    if traces in ("none", "first"):
        refuted = refuted[: int(traces == "first")]
    elif traces != "all":
        refuted = [r for r in refuted if r.name == traces]
    for result in refuted:
        head = f"{result.name} is violated after {result.depth} steps (not the fewest possible)"
        lines += ["", f"{head}: not {result.because!r}", *columns(s.program, result.trace)]
    if command:
        lines += ["", f"again: {command}"]
    return "\n".join(lines)


def _line(result: PropertyResult) -> str:
    mark = "NO " if result.verdict is Verdict.REFUTED else " ? "
    seen = "seen, " if result.kind == "sometimes" else ""
    at = "" if result.depth is None else f" [{seen}{result.depth} steps]"
    return f"  {mark}{result.kind} {result.name}{at}: {result.because}"[:WIDTH]
