"""Expressions over columns: one NumPy operation moves a whole chunk of states.

Every node's interval is known, so each operation runs in the smallest signed type that holds its
operands *and* its result: nothing wraps, nothing is promoted to a float. A group of expressions is
compiled once, into a *tape*: its operations in order, each on numbered slots. What several of them
share is computed once; a slot is used again when nobody reads it any more, so that the arrays in
use stay few and in the cache.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import methodcaller
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nbio.verify.expr import BoolExpr, Expr, ModelError
from nbio.verify.packing import Column, Packing, Words, dtype_for

Truth = NDArray[np.bool_]
Operation = Callable[..., Column]
Kind = np.dtype[np.signedinteger] | np.dtype[np.bool_]

_BOOL: np.dtype[np.bool_] = np.dtype(np.bool_)
_ARITH: Final[dict[str, Operation]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.floor_divide,
    "mod": np.remainder,
    "min": np.minimum,
    "max": np.maximum,
}
_COMPARE: Final[dict[str, Operation]] = {"eq": np.equal, "lt": np.less, "le": np.less_equal}
_LOGIC: Final[dict[str, Operation]] = {"and": np.logical_and, "or": np.logical_or}


class Columns:
    """A chunk of packed states and the values of expressions over it."""

    def __init__(self, packing: Packing, position: dict[int, int], words: Words) -> None:
        self.packing, self.position, self.words = packing, position, words
        self.size = words.shape[1]
        self._cells: dict[int, Column] = {}
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

    def truths(self, exprs: Sequence[BoolExpr]) -> list[Truth]:
        """Boolean expressions as full-length masks."""
        return [m.astype(np.bool_, copy=False) for m in self.values(exprs)]

    def truth(self, expr: BoolExpr) -> Truth:
        """A boolean expression as a full-length mask."""
        return self.truths((expr,))[0]

    def values(self, exprs: Sequence[Expr]) -> list[Column]:
        """The expressions' columns, at full length also where they are constant."""
        key = tuple(e.uid for e in exprs)
        tape = _tapes.get(key)
        if tape is None:
            tape = _tapes[key] = Tape(exprs)
        return [
            value if value.ndim else np.broadcast_to(value, (self.size,))
            for value in tape.run(self)
        ]


@dataclass(frozen=True)
class Operand:
    """The result of an operation: its number, in the order in which they are made, and its type."""

    number: int
    kind: Kind


class Tape:
    """Expressions as a sequence of operations."""

    def __init__(self, exprs: Sequence[Expr]) -> None:
        self._known: dict[int, Operand] = {}
        self._cast: dict[tuple[int, Kind], Operand] = {}
        self._made: list[tuple[Operation | None, tuple[int, ...]]] = []
        self._constants: dict[int, Column] = {}
        self._cells: dict[int, int] = {}
        outputs = [self._compiled(e).number for e in exprs]
        self._allocate(outputs)

    def run(self, columns: Columns) -> list[Column]:
        """The values of all expressions."""
        slots = [*self._initial]
        for slot, uid in self._loads:
            slots[slot] = columns.cell(columns.position[uid])
        for apply, out, first, second in self._code:
            if second < 0:
                slots[out] = apply(slots[first])
            else:
                slots[out] = apply(slots[first], slots[second])
        return [slots[n] for n in self._outputs]

    # ----------------------------------------------------------------------- compiling

    def _make(self, apply: Operation, kind: Kind, *arguments: Operand) -> Operand:
        self._made.append((apply, tuple(a.number for a in arguments)))
        return Operand(len(self._made) - 1, kind)

    def _leaf(self, kind: Kind) -> Operand:
        self._made.append((None, ()))
        return Operand(len(self._made) - 1, kind)

    def _compiled(self, expr: Expr) -> Operand:
        found = self._known.get(expr.uid)
        if found is None:
            try:
                found = self._known[expr.uid] = self._compile(expr)
            except OverflowError as error:
                said = textwrap.shorten(str(expr), 120, placeholder=" ...")
                raise ModelError(f"{said}: {error}") from error
        return found

    def _compile(self, expr: Expr) -> Operand:
        op, args = expr.op, expr.args
        if op == "var":
            kind: Kind = _BOOL if isinstance(expr, BoolExpr) else dtype_for(expr.lo, expr.hi)
            made = self._leaf(kind)
            self._cells[made.number] = expr.uid
            return made
        if op in ("bool", "int"):
            made = self._leaf(_BOOL if op == "bool" else dtype_for(expr.lo, expr.hi))
            self._constants[made.number] = np.asarray(expr.data[0], dtype=made.kind)
            return made
        if op in _COMPARE or op in _ARITH:
            # A comparison's result is a truth value; its operands only need to fit each other.
            bounds = [*args, *([expr] if op in _ARITH else [])]
            wide = dtype_for(min(b.lo for b in bounds), max(b.hi for b in bounds))
            apply = _COMPARE[op] if op in _COMPARE else _ARITH[op]
            left, right = self._as(args[0], wide), self._as(args[1], wide)
            return self._make(apply, _BOOL if op in _COMPARE else wide, left, right)
        if op == "ite":
            return self._choice(expr)
        return self._logic(expr)

    def _as(self, expr: Expr, kind: Kind) -> Operand:
        """The expression's column in the given type."""
        made = self._compiled(expr)
        if made.kind == kind:
            return made
        key = (made.number, kind)
        if key not in self._cast:
            self._cast[key] = self._make(methodcaller("astype", kind), kind, made)
        return self._cast[key]

    def _choice(self, expr: Expr) -> Operand:
        test, a, b = expr.args
        if isinstance(expr, BoolExpr):
            condition = self._compiled(test)
            yes = self._make(np.logical_and, _BOOL, condition, self._compiled(a))
            other = self._make(np.logical_not, _BOOL, condition)
            no = self._make(np.logical_and, _BOOL, other, self._compiled(b))
            return self._make(np.logical_or, _BOOL, yes, no)
        # b + condition * (a - b): three narrow vector operations beat one np.where.
        wide = dtype_for(min(a.lo, b.lo, a.lo - b.hi), max(a.hi, b.hi, a.hi - b.lo))
        base = self._as(b, wide)
        step = self._make(np.subtract, wide, self._as(a, wide), base)
        taken = self._make(np.multiply, wide, step, self._compiled(test))
        return self._make(np.add, wide, base, taken)

    def _logic(self, expr: Expr) -> Operand:
        op, args = expr.op, expr.args
        parts = [self._compiled(a) for a in args]
        if op == "not":
            return self._make(np.logical_not, _BOOL, parts[0])
        if op == "implies":
            premise = self._make(np.logical_not, _BOOL, parts[0])
            return self._make(np.logical_or, _BOOL, premise, parts[1])
        if op == "iff":
            return self._make(np.equal, _BOOL, parts[0], parts[1])
        if op not in _LOGIC:
            raise ModelError(f"the array evaluator has no rule for the operator {op!r}")
        result = parts[0]
        for part in parts[1:]:
            result = self._make(_LOGIC[op], _BOOL, result, part)
        return result

    # ---------------------------------------------------------------------- allocating

    def _allocate(self, outputs: Sequence[int]) -> None:
        """Give every operation a slot: constants and outputs keep theirs."""
        last = dict.fromkeys(range(len(self._made)), -1)
        for number, (_, arguments) in enumerate(self._made):
            for argument in arguments:
                last[argument] = number
        for number in (*outputs, *self._constants, *self._cells):
            last[number] = len(self._made)
        slot: dict[int, int] = {}
        free: list[int] = []
        slots = 0
        self._code: list[tuple[Operation, int, int, int]] = []
        for number, (apply, arguments) in enumerate(self._made):
            free += [slot[a] for a in dict.fromkeys(arguments) if last[a] == number]
            if free and apply is not None:
                slot[number] = free.pop()
            else:
                slot[number] = slots
                slots += 1
            if apply is not None:
                first, second = slot[arguments[0]], slot[arguments[1]] if arguments[1:] else -1
                self._code.append((apply, slot[number], first, second))
        self._initial: list[Column] = [np.zeros((), dtype=_BOOL)] * slots
        for number, value in self._constants.items():
            self._initial[slot[number]] = value
        self._loads = [(slot[number], uid) for number, uid in self._cells.items()]
        self._outputs = [slot[number] for number in outputs]


_tapes: dict[tuple[int, ...], Tape] = {}
