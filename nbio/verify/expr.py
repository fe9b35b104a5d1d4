"""Expressions as typed syntax trees, built once and read by many visitors.

A guard is written in ordinary Python (``(slot.state == OPEN) & ~slot.waiting``) and becomes a tree
of :class:`IntExpr` and :class:`BoolExpr` nodes. Integers, NumPy columns, Z3 terms and emitted
Python are each one visitor of that tree (``ints``, ``columns``, ``smt``, ``source``).

Nodes are interned: structurally equal trees are the same object, so that evaluators share common
subexpressions by ``uid``. Every node carries the interval ``lo..hi`` of the values it can take,
which decides the column type that computes it exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from functools import reduce
from typing import Final, TypeVar, overload

from nbio.verify.mistakes import ModelError as ModelError
from nbio.verify.mistakes import NoValueError as NoValueError
from nbio.verify.mistakes import caller as caller
from nbio.verify.node import Expr as Expr

UNBOUNDED: Final = 1 << 60
"""The ``hi`` of an integer without a declared upper bound (Z3 and emitted code only)."""


class IntExpr(Expr):
    """An integer-valued node."""

    __slots__ = ()

    def __add__(self, other: IntLike) -> IntExpr:
        return _arith("add", self, integer(other))

    def __radd__(self, other: IntLike) -> IntExpr:
        return _arith("add", integer(other), self)

    def __sub__(self, other: IntLike) -> IntExpr:
        return _arith("sub", self, integer(other))

    def __rsub__(self, other: IntLike) -> IntExpr:
        return _arith("sub", integer(other), self)

    def __neg__(self) -> IntExpr:
        return _arith("sub", integer(0), self)

    def __mul__(self, other: IntLike) -> IntExpr:
        return _arith("mul", self, integer(other))

    def __rmul__(self, other: IntLike) -> IntExpr:
        return _arith("mul", integer(other), self)

    def __floordiv__(self, by: int) -> IntExpr:
        return _divided("div", self, by)

    def __mod__(self, by: int) -> IntExpr:
        return _divided("mod", self, by)

    # A comparison builds a node; object.__eq__ promises a bool, which a node can't have.
    def __eq__(self, other: IntLike) -> BoolExpr:  # type: ignore[override]
        return _compare("eq", self, integer(other))

    def __ne__(self, other: IntLike) -> BoolExpr:  # type: ignore[override]
        return ~_compare("eq", self, integer(other))

    def __lt__(self, other: IntLike) -> BoolExpr:
        return _compare("lt", self, integer(other))

    def __le__(self, other: IntLike) -> BoolExpr:
        return _compare("le", self, integer(other))

    def __gt__(self, other: IntLike) -> BoolExpr:
        return _compare("lt", integer(other), self)

    def __ge__(self, other: IntLike) -> BoolExpr:
        return _compare("le", integer(other), self)

    __hash__ = Expr.__hash__


class BoolExpr(Expr):
    """A truth-valued node. Connectives are ``&``, ``|``, ``^``, ``~`` and :func:`implies`."""

    __slots__ = ()

    def __and__(self, other: BoolLike) -> BoolExpr:
        return all_of(self, other)

    def __rand__(self, other: BoolLike) -> BoolExpr:
        return all_of(other, self)

    def __or__(self, other: BoolLike) -> BoolExpr:
        return any_of(self, other)

    def __ror__(self, other: BoolLike) -> BoolExpr:
        return any_of(other, self)

    def __invert__(self) -> BoolExpr:
        if self.op == "bool":
            return boolean(not self.data[0])
        if self.op == "not":
            return as_bool(self.args[0])
        return _bool("not", (self,))

    def __xor__(self, other: BoolLike) -> BoolExpr:
        return self != other

    def __rxor__(self, other: BoolLike) -> BoolExpr:
        return self != other

    # As for IntExpr: a node is built where object promises a bool.
    def __eq__(self, other: BoolLike) -> BoolExpr:  # type: ignore[override]
        a, b = self, boolean(other)
        if a.uid == b.uid:
            return TRUE
        for this, that in ((a, b), (b, a)):
            if this.op == "bool":
                return that if this.data[0] else ~that
        return _bool("iff", (a, b))

    def __ne__(self, other: BoolLike) -> BoolExpr:  # type: ignore[override]
        return ~(self == other)

    __hash__ = Expr.__hash__


IntLike = int | IntExpr
BoolLike = bool | BoolExpr
Interval = tuple[int, int]
E = TypeVar("E", IntExpr, BoolExpr)

_interned: dict[tuple[object, ...], Expr] = {}


def _node(
    cls: type[E], op: str, args: tuple[Expr, ...], data: tuple[str | int, ...], r: Interval
) -> E:
    key = (cls, op, data, r, tuple(a.uid for a in args))
    found = _interned.get(key)
    if isinstance(found, cls):
        return found
    made = cls()
    made.op, made.args, made.data, (made.lo, made.hi) = op, args, data, r
    made.uid = len(_interned)
    _interned[key] = made
    return made


def _bool(op: str, args: tuple[Expr, ...], data: tuple[str | int, ...] = ()) -> BoolExpr:
    return _node(BoolExpr, op, args, data, (0, 1))


# ------------------------------------------------------------------------------ leaves


def integer(value: IntLike) -> IntExpr:
    """``value`` as a node; an IntEnum member keeps its name (traces and emitted code show it)."""
    if isinstance(value, IntExpr):
        return value
    if isinstance(value, IntEnum):
        return _node(IntExpr, "int", (), (int(value), value.name), (int(value), int(value)))
    if isinstance(value, bool) or not isinstance(value, int):
        raise ModelError(f"{caller()}: expected an integer expression, got {value!r}")
    return _node(IntExpr, "int", (), (value,), (value, value))


def boolean(value: BoolLike) -> BoolExpr:
    """``value`` as a node."""
    if isinstance(value, BoolExpr):
        return value
    if not isinstance(value, bool):
        raise ModelError(
            f"{caller()}: expected a boolean expression, got {value!r}. As & and | bind tighter "
            f"than ==, write (a == b) & c"
        )
    return _bool("bool", (), (int(value),))


TRUE: Final = boolean(True)
FALSE: Final = boolean(False)


def int_var(name: str, lo: int, hi: int = UNBOUNDED) -> IntExpr:
    """A state variable (one cell) holding ``lo..hi``."""
    return _node(IntExpr, "var", (), (name,), (lo, hi))


def bool_var(name: str) -> BoolExpr:
    """A truth-valued state variable (one cell)."""
    return _bool("var", (), (name,))


def parameter(name: str, lo: int, hi: int = UNBOUNDED) -> IntExpr:
    """A parameter of an action."""
    return _node(IntExpr, "param", (), (name,), (lo, hi))


def bound_variable(name: str, lo: int, hi: int) -> IntExpr:
    """The variable of a quantifier: another node than an action's parameter of that name."""
    return _node(IntExpr, "param", (), (name, "bound"), (lo, hi))


def select_int(array: str, size: int, index: IntLike, lo: int, hi: int) -> IntExpr:
    """``array[index]``; total: an index outside ``0..size-1`` reads the nearest cell."""
    return _node(IntExpr, "select", (integer(index),), (array, size), (lo, hi))


def select_bool(array: str, size: int, index: IntLike) -> BoolExpr:
    """``array[index]`` of an array of booleans; total as :func:`select_int`."""
    return _bool("select", (integer(index),), (array, size))


def as_int(expr: Expr) -> IntExpr:
    """Narrow a node to an integer one (an internal error if it is not)."""
    if not isinstance(expr, IntExpr):
        raise ModelError(f"{caller()}: expected an integer expression, got the boolean {expr}")
    return expr


def as_bool(expr: Expr) -> BoolExpr:
    """Narrow a node to a boolean one (an internal error if it is not)."""
    if not isinstance(expr, BoolExpr):
        raise ModelError(f"{caller()}: expected a boolean expression, got the integer {expr}")
    return expr


# --------------------------------------------------------------------------- operators

_FOLD: dict[str, Callable[[int, int], int]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "min": min,
    "max": max,
}


def _arith(op: str, a: IntExpr, b: IntExpr) -> IntExpr:
    fold = _FOLD[op]
    if a.op == "int" and b.op == "int":
        return integer(fold(a.lo, b.lo))
    if op in ("add", "sub") and b.op == "int" and b.lo == 0:
        return a
    if op == "add" and a.op == "int" and a.lo == 0:
        return b
    if op == "sub":
        return _node(IntExpr, op, (a, b), (), (a.lo - b.hi, a.hi - b.lo))
    ends = [fold(x, y) for x in (a.lo, a.hi) for y in (b.lo, b.hi)]
    return _node(IntExpr, op, (a, b), (), (min(ends), max(ends)))


def _divided(op: str, a: IntExpr, by: IntLike) -> IntExpr:
    """``a // by`` or ``a % by``, rounded down as Python does, by a positive constant."""
    k = integer(by)
    if k.op != "int" or k.lo < 1:
        raise ModelError(f"{caller()}: {a} is divided by {k}; only a positive constant is allowed")
    low, high = a.lo // k.lo, a.hi // k.lo
    if op == "div":
        return a if k.lo == 1 else _whole(op, a, k, (low, high))
    return _whole(op, a, k, (a.lo % k.lo, a.hi % k.lo) if low == high else (0, k.lo - 1))


def _whole(op: str, a: IntExpr, k: IntExpr, values: Interval) -> IntExpr:
    return integer(values[0]) if values[0] == values[1] else _node(IntExpr, op, (a, k), (), values)


def _compare(op: str, a: IntExpr, b: IntExpr) -> BoolExpr:
    if a.op == "int" and b.op == "int":
        return boolean({"eq": a.lo == b.lo, "lt": a.lo < b.lo, "le": a.lo <= b.lo}[op])
    if a.uid == b.uid:
        return boolean(op != "lt")
    return _bool(op, (a, b))


def minimum(first: IntLike, *others: IntLike) -> IntExpr:
    """The smallest of all."""
    return reduce(lambda a, b: _arith("min", a, b), map(integer, others), integer(first))


def maximum(first: IntLike, *others: IntLike) -> IntExpr:
    """The largest of all."""
    return reduce(lambda a, b: _arith("max", a, b), map(integer, others), integer(first))


def _connective(op: str, unit: bool, parts: Iterable[BoolLike]) -> BoolExpr:
    flat: dict[int, BoolExpr] = {}
    for part in map(boolean, parts):
        if part.op == "bool":
            if bool(part.data[0]) is not unit:
                return boolean(not unit)
            continue
        for piece in part.args if part.op == op else (part,):
            flat[piece.uid] = as_bool(piece)
    if not flat:
        return boolean(unit)
    if len(flat) == 1:
        return next(iter(flat.values()))
    return _bool(op, tuple(flat.values()))


def all_of(*parts: BoolLike) -> BoolExpr:
    """Conjunction; true of nothing."""
    return _connective("and", True, parts)


def any_of(*parts: BoolLike) -> BoolExpr:
    """Disjunction; false of nothing."""
    return _connective("or", False, parts)


def implies(a: BoolLike, b: BoolLike) -> BoolExpr:
    """``a`` only where ``b``."""
    premise, conclusion = boolean(a), boolean(b)
    if premise.op == "bool" or conclusion.op == "bool":
        return ~premise | conclusion
    return _bool("implies", (premise, conclusion))


# bool is a subtype of int, so the truth-valued form must come first; the two then overlap only in
# calls that mix a bool with an int, which are refused below.
@overload
def ite(condition: BoolLike, then: BoolLike, other: BoolLike) -> BoolExpr: ...  # type: ignore[overload-overlap]
@overload
def ite(condition: BoolLike, then: IntLike, other: IntLike) -> IntExpr: ...
def ite(condition: BoolLike, then: IntLike | BoolLike, other: IntLike | BoolLike) -> Expr:
    """``then`` where the condition holds, else ``other``."""
    test = boolean(condition)
    if isinstance(then, BoolExpr | bool) and isinstance(other, BoolExpr | bool):
        yes, no = boolean(then), boolean(other)
        if test.op == "bool":
            return yes if test.data[0] else no
        if yes.uid == no.uid:
            return yes
        if yes.op == "bool":
            return (test | no) if yes.data[0] else (~test & no)
        if no.op == "bool":
            return (~test | yes) if no.data[0] else (test & yes)
        return _bool("ite", (test, yes, no))
    if isinstance(then, BoolExpr | bool) or isinstance(other, BoolExpr | bool):
        raise ModelError(f"{caller()}: ite has one boolean branch and one integer branch")
    a, b = integer(then), integer(other)
    if test.op == "bool":
        return a if test.data[0] else b
    if a.uid == b.uid:
        return a
    return _node(IntExpr, "ite", (test, a, b), (), (min(a.lo, b.lo), max(a.hi, b.hi)))


def combined(op: str, args: Sequence[Expr]) -> Expr | None:
    """The node of an arithmetic, comparing or connecting operator; None of another one."""
    if op in _FOLD:
        return _arith(op, as_int(args[0]), as_int(args[1]))
    if op in ("div", "mod"):
        return _divided(op, as_int(args[0]), as_int(args[1]))
    if op in ("eq", "lt", "le"):
        return _compare(op, as_int(args[0]), as_int(args[1]))
    if op in ("and", "or"):
        return _connective(op, op == "and", map(as_bool, args))
    return None


# -------------------------------------------------------------------------- quantifiers


def quantifier(op: str, bound: IntExpr, size: int, body: Expr) -> Expr:
    """``forall`` / ``exists`` / ``count`` of a boolean body over ``bound`` in ``0..size-1``."""
    data: tuple[str | int, ...] = (size,)
    if op == "count":
        return _node(IntExpr, op, (bound, as_bool(body)), data, (0, size))
    return _bool(op, (bound, as_bool(body)), data)
