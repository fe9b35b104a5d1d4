"""Runs of a model: counterexamples rebuilt from a search's levels, and run again to be believed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from nbio.verify.engine import Exploration, Packed
from nbio.verify.expr import ModelError
from nbio.verify.ints import Interpreter
from nbio.verify.program import Instance, Program, State


@dataclass(frozen=True)
class TraceStep:
    """One row of a counterexample: the step taken (None at the start) and the state after it."""

    instance: Instance | None
    state: State


Trace = list[TraceStep]


def shortest_trace(found: Exploration, name: str) -> Trace:
    """The shortest way to the first state recorded under ``name``, re-run by the interpreter."""
    return _trace(found, *found.first[name])


def trace_to(found: Exploration, number: int) -> Trace:
    """The shortest way to the state found as number ``number``."""
    depth = int(np.searchsorted(found.levels, number, side="right")) - 1
    return _trace(found, depth, found.words_at(number))


def _trace(found: Exploration, depth: int, target: Packed) -> Trace:
    steps: list[tuple[Instance, Packed]] = []
    for level in range(depth, 0, -1):
        instance, before = found.predecessor(level - 1, target)
        steps.append((instance, target))
        target = before
    trace = [TraceStep(None, found.state(target))]
    for instance, words in reversed(steps):
        trace.append(_towards(found, trace[-1].state, instance, words))
    rerun(found.program, trace)
    return trace


def _towards(found: Exploration, state: State, instance: Instance, words: Packed) -> TraceStep:
    """The step from a state to ``words``; under a symmetry, to a state that they stand for."""
    if found.symmetry is None:
        return TraceStep(instance, found.state(words))
    for taken in Interpreter(found.program).successors(state):
        least = found.least(found.packing.pack([taken.state]))
        if tuple(int(w) for w in least[:, 0]) == words:
            return TraceStep(taken.instance, taken.state)
    raise ModelError(f"no step leads on from {state}: the search contradicts itself")


def rerun(program: Program, trace: Trace) -> None:
    """Re-run a trace in the unreduced model by plain integers; ModelError where it is no run."""
    interpreter = Interpreter(program)
    if not interpreter.may_start(trace[0].state):
        raise ModelError("the trace does not begin in an initial state")
    for before, step in pairwise(trace):
        instance = step.instance
        if instance is None or not interpreter.enabled(instance, before.state):
            raise ModelError(f"the trace takes {instance and instance.label}, which is not enabled")
        if interpreter.apply(instance, before.state) != step.state:
            raise ModelError(f"the trace's step {instance.label} leads elsewhere")
