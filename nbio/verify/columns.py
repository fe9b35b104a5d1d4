"""Expressions over columns: one NumPy operation moves a whole chunk of states.

Every node's interval is known, so each operation runs in the smallest signed type that holds its
operands *and* its result: nothing wraps, nothing is promoted to a float. How a node is computed
(its operation, its type, which operands need widening) is decided once, in its *plan*; shared
subexpressions are computed once a chunk (nodes are interned, the memo is by ``uid``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nbio.verify.expr import BoolExpr, Expr, ModelError
from nbio.verify.packing import Column, Packing, Words, dtype_for

Truth = NDArray[np.bool_]
Binary = Callable[[Column, Column], Column]
Kind = np.dtype[np.signedinteger] | np.dtype[np.bool_]

_BOOL: np.dtype[np.bool_] = np.dtype(np.bool_)
_ARITH: dict[str, Binary] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "min": np.minimum,
    "max": np.maximum,
}
_COMPARE: dict[str, Binary] = {"eq": np.equal, "lt": np.less, "le": np.less_equal}


class Columns:
    """A chunk of packed states and the values of expressions over it."""

    def __init__(self, packing: Packing, position: dict[int, int], words: Words) -> None:
        self.packing, self.position, self.words = packing, position, words
        self.size = words.shape[1]
        self._cells: dict[int, Column] = {}
        self._memo: dict[int, Column] = {}
        self._parent: tuple[Columns, NDArray[np.intp]] | None = None

    def at(self, rows: NDArray[np.intp]) -> Columns:
        """The sub-chunk of the given rows; cells are gathered from this one's columns on use."""
        part = Columns(self.packing, self.position, self.words.take(rows, axis=1))
        part._parent = (self, rows)
        return part

    def cell(self, position: int) -> Column:
        """The column of one cell."""
        found = self._cells.get(position)
        if found is None:
            if self._parent is not None:
                found = self._parent[0].cell(position).take(self._parent[1])
            else:
                found = self.packing.column(self.words, position)
            self._cells[position] = found
        return found

    def truth(self, expr: BoolExpr) -> Truth:
        """A boolean expression as a full-length mask."""
        mask: Truth = self.full(expr).astype(np.bool_, copy=False)
        return mask

    def full(self, expr: Expr) -> Column:
        """An expression's column, at full length also where it is constant."""
        value = self.value(expr)
        return value if value.ndim else np.broadcast_to(value, (self.size,))

    def value(self, expr: Expr) -> Column:
        """An expression's column (zero-dimensional where it is constant)."""
        found = self._memo.get(expr.uid)
        if found is None:
            plan = _plans.get(expr.uid) or _planned(expr)
            found = self._memo[expr.uid] = plan.compute(self)
        return found


@dataclass(frozen=True)
class Plan:
    """How a node's column is computed, and the type that it then has."""

    compute: Callable[[Columns], Column]
    kind: Kind


_plans: dict[int, Plan] = {}


def _planned(expr: Expr) -> Plan:
    found = _plans[expr.uid] = _plan(expr)
    return found


def _kind(expr: Expr) -> Kind:
    return (_plans.get(expr.uid) or _planned(expr)).kind


def _plan(expr: Expr) -> Plan:
    op, args = expr.op, expr.args
    if op == "var":
        kind: Kind = _BOOL if isinstance(expr, BoolExpr) else dtype_for(expr.lo, expr.hi)
        return Plan(lambda c: c.cell(c.position[expr.uid]), kind)
    if op in ("bool", "int"):
        constant_kind: Kind = _BOOL if op == "bool" else dtype_for(expr.lo, expr.hi)
        constant = np.asarray(expr.data[0], dtype=constant_kind)
        return Plan(lambda c: constant, constant_kind)
    if op in _COMPARE or op in _ARITH:
        # A comparison's result is a truth value; its operands only need to fit each other.
        bounds = [*args, *([expr] if op in _ARITH else [])]
        wide = dtype_for(min(b.lo for b in bounds), max(b.hi for b in bounds))
        apply = _COMPARE[op] if op in _COMPARE else _ARITH[op]
        left, right = _as(args[0], wide), _as(args[1], wide)
        return Plan(lambda c: apply(left(c), right(c)), _BOOL if op in _COMPARE else wide)
    if op == "ite":
        return _choice(expr)
    return Plan(_logic(op, args), _BOOL)


def _as(expr: Expr, kind: Kind) -> Callable[[Columns], Column]:
    """The expression's column in the given type."""
    if _kind(expr) == kind:
        return lambda c: c.value(expr)

    def widened(c: Columns) -> Column:
        column: Column = c.value(expr).astype(kind)
        return column

    return widened


def _choice(expr: Expr) -> Plan:
    test, a, b = expr.args
    if isinstance(expr, BoolExpr):

        def either(c: Columns) -> Column:
            condition = c.value(test)
            yes = np.logical_and(condition, c.value(a))
            return np.logical_or(yes, np.logical_and(np.logical_not(condition), c.value(b)))

        return Plan(either, _BOOL)
    # b + condition * (a - b): three narrow vector operations beat one np.where.
    wide = dtype_for(min(a.lo, b.lo, a.lo - b.hi), max(a.hi, b.hi, a.hi - b.lo))
    low, high = _as(b, wide), _as(a, wide)

    def chosen(c: Columns) -> Column:
        base = low(c)
        step = np.subtract(high(c), base)
        return np.add(base, np.multiply(step, c.value(test)))

    return Plan(chosen, wide)


def _logic(op: str, args: tuple[Expr, ...]) -> Callable[[Columns], Column]:
    first, rest = args[0], args[1:]
    if op == "not":
        return lambda c: np.logical_not(c.value(first))
    if op == "implies":
        return lambda c: np.logical_or(np.logical_not(c.value(first)), c.value(rest[0]))
    if op == "iff":
        return lambda c: np.equal(c.value(first), c.value(rest[0]))
    if op not in ("and", "or"):
        raise ModelError(f"the array evaluator has no rule for the operator {op!r}")
    join = np.logical_and if op == "and" else np.logical_or

    def joined(c: Columns) -> Column:
        result = join(c.value(first), c.value(rest[0]))
        for part in rest[1:]:
            result = join(result, c.value(part))
        return result

    return joined
