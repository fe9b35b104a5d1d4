"""Expressions over columns: one NumPy operation moves a whole chunk of states.

Every node's interval is known, so each operation runs in the smallest signed type that holds its
operands *and* its result: nothing wraps, nothing is promoted to a float. Shared subexpressions are
computed once a chunk (nodes are interned, the memo is by ``uid``).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from nbio.verify.expr import Expr, ModelError
from nbio.verify.packing import Column, Packing, Words, dtype_for

Truth = NDArray[np.bool_]
Binary = Callable[[Column, Column], Column]

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
        part = Columns(self.packing, self.position, self.words[:, rows])
        part._parent = (self, rows)
        return part

    def cell(self, position: int) -> Column:
        """The column of one cell."""
        found = self._cells.get(position)
        if found is None:
            if self._parent is not None:
                found = self._parent[0].cell(position)[self._parent[1]]
            else:
                found = self.packing.column(self.words, position)
            self._cells[position] = found
        return found

    def truth(self, expr: Expr) -> Truth:
        """A boolean expression as a full-length mask."""
        value = self.value(expr)
        return np.broadcast_to(value.astype(np.bool_, copy=False), (self.size,))

    def value(self, expr: Expr) -> Column:
        """An expression's column (zero-dimensional where it is constant)."""
        found = self._memo.get(expr.uid)
        if found is None:
            found = self._memo[expr.uid] = self._compute(expr)
        return found

    def _compute(self, expr: Expr) -> Column:
        op = expr.op
        if op == "var":
            column = self.cell(self.position[expr.uid])
            return column != 0 if expr.hi == 1 and _is_truth(expr) else column
        if op == "bool":
            return np.asarray(bool(expr.data[0]))
        if op == "int":
            return np.asarray(expr.lo, dtype=dtype_for(expr.lo, expr.hi))
        if op in _COMPARE:
            a, b = expr.args
            dtype = dtype_for(min(a.lo, b.lo), max(a.hi, b.hi))
            return _COMPARE[op](self._as(a, dtype), self._as(b, dtype))
        if op in _ARITH:
            a, b = expr.args
            dtype = dtype_for(min(a.lo, b.lo, expr.lo), max(a.hi, b.hi, expr.hi))
            return _ARITH[op](self._as(a, dtype), self._as(b, dtype))
        if op == "ite":
            return self._choice(expr)
        return self._logic(op, [self.value(a) for a in expr.args])

    def _as(self, expr: Expr, dtype: np.dtype[np.signedinteger]) -> Column:
        column: Column = self.value(expr).astype(dtype, copy=False)
        return column

    def _choice(self, expr: Expr) -> Column:
        test, a, b = expr.args
        condition = self.value(test)
        if _is_truth(expr):
            chosen: Column = (condition & self.value(a)) | (~condition & self.value(b))
            return chosen
        # b + condition * (a - b): three narrow vector operations beat one np.where.
        dtype = dtype_for(min(a.lo, b.lo, a.lo - b.hi), max(a.hi, b.hi, a.hi - b.lo))
        low = self._as(b, dtype)
        step = np.subtract(self._as(a, dtype), low)
        result: Column = low + condition.astype(dtype) * step
        return result

    @staticmethod
    def _logic(op: str, parts: list[Column]) -> Column:
        if op == "not":
            return np.logical_not(parts[0])
        if op == "implies":
            return np.logical_not(parts[0]) | parts[1].astype(np.bool_, copy=False)
        if op == "iff":
            return np.equal(parts[0], parts[1])
        if op not in ("and", "or"):
            raise ModelError(f"the array evaluator has no rule for the operator {op!r}")
        join = np.logical_and if op == "and" else np.logical_or
        result = join(parts[0], parts[1])
        for part in parts[2:]:
            result = join(result, part)
        return result


def _is_truth(expr: Expr) -> bool:
    from nbio.verify.expr import BoolExpr

    return isinstance(expr, BoolExpr)
