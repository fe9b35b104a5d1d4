"""The plain interpreter: expressions over Python ints, one state at a time.

It shares no code with the array evaluator and does nothing clever. Every printed trace has been
re-run here, in the unreduced model, before anybody sees it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from nbio.verify.expr import Expr, ModelError
from nbio.verify.program import Instance, Program, State

Leaf = Callable[[Expr], int]


def evaluate(expr: Expr, leaf: Leaf) -> int:
    """The value of ``expr`` (truth as 0 or 1), where ``leaf`` gives variables and parameters."""
    op, args = expr.op, expr.args
    if op in ("int", "bool"):
        return int(expr.data[0])
    if op in ("var", "param"):
        return leaf(expr)
    if op in ("and", "or"):
        # Short-circuits, as the tree's other readers need not.
        stop = op == "or"
        return int(stop if any(bool(evaluate(a, leaf)) is stop for a in args) else not stop)
    if op == "ite":
        return evaluate(args[1] if evaluate(args[0], leaf) else args[2], leaf)
    a = evaluate(args[0], leaf)
    if op == "not":
        return 1 - a
    return _binary(op, a, evaluate(args[1], leaf))


def _binary(op: str, a: int, b: int) -> int:
    match op:
        case "add":
            return a + b
        case "sub":
            return a - b
        case "mul":
            return a * b
        case "div":
            return a // b
        case "mod":
            return a % b
        case "min":
            return min(a, b)
        case "max":
            return max(a, b)
        case "eq" | "iff":
            return int(a == b)
        case "lt":
            return int(a < b)
        case "le":
            return int(a <= b)
        case "implies":
            return int(not a or bool(b))
    raise ModelError(f"the interpreter has no rule for the operator {op!r}")


@dataclass(frozen=True)
class Taken:
    """A step that was taken: the instance and the state it led to."""

    instance: Instance
    state: State


class Interpreter:
    """Steps a program one state at a time."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._where = program.position

    def value(self, expr: Expr, state: State) -> int:
        """The value of a lowered expression in ``state``."""
        where = self._where
        return evaluate(expr, lambda node: state[where[node.uid]])

    def starts(self) -> list[State]:
        """Every initial state, for models that have few; ModelError where there is none."""
        combinations = itertools.product(*(c.choices for c in self.program.cells))
        found = [s for s in dict.fromkeys(combinations) if self.value(self.program.starts, s)]
        if not found:
            raise ModelError(f"model {self.program.model.name} has no initial state")
        return found

    def may_start(self, state: State) -> bool:
        """Whether a state is an initial one."""
        chosen = (v in c.choices for c, v in zip(self.program.cells, state, strict=True))
        return all(chosen) and bool(self.value(self.program.starts, state))

    def enabled(self, instance: Instance, state: State) -> bool:
        """Whether the instance's guard holds."""
        return bool(self.value(instance.guard, state))

    def apply(self, instance: Instance, state: State) -> State:
        """The successor; ModelError where an update leaves its variable's range."""
        program = self.program
        if not self.value(instance.in_range, state):
            raise ModelError(index_error(program, instance, state))
        new = list(state)
        for position, expr in instance.updates:
            value = self.value(expr, state)
            cell = program.cells[position]
            if not cell.lo <= value <= cell.hi:
                raise ModelError(range_error(program, instance, state, position, value))
            new[position] = value
        return tuple(new)

    def successors(self, state: State) -> Iterator[Taken]:
        """Every enabled step from ``state``, in declaration order."""
        for instance in self.program.instances:
            if self.enabled(instance, state):
                yield Taken(instance, self.apply(instance, state))


def range_error(
    program: Program, instance: Instance, state: State, position: int, value: int
) -> str:
    """The message for an update outside its range: variable, action, state."""
    cell = program.cells[position]
    return (
        f"{instance.action.place}: action {instance.label} sets {cell.name} to {value}, outside "
        f"its range {cell.lo}..{cell.hi}, in the state {describe(program, state)}. Widen the "
        f"range or guard the action."
    )


def index_error(program: Program, instance: Instance, state: State) -> str:
    """The message for a write through an index outside its array."""
    return (
        f"{instance.action.place}: action {instance.label} writes an array outside its index "
        f"range in the state {describe(program, state)}. Guard the action or the update."
    )


def describe(program: Program, state: State) -> str:
    """A state in one line: what differs from the one initial state, all of it if there are more."""
    parts = [
        f"{c.name}={c.variable.show(v)}"
        for c, v, i in zip(program.cells, state, program.first, strict=True)
        if v != i or not program.starts_once
    ]
    return "(" + ", ".join(parts) + ")" if parts else "(the initial state)"
