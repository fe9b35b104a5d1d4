"""Quantifiers over an index: kept as nodes, written out for every reader but the drawings."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from functools import reduce
from typing import Final

from nbio.verify.declared import Index
from nbio.verify.expr import (
    BoolExpr,
    BoolLike,
    Expr,
    IntExpr,
    IntLike,
    all_of,
    any_of,
    as_bool,
    as_int,
    boolean,
    bound_variable,
    integer,
    ite,
    maximum,
    minimum,
    quantifier,
)
from nbio.verify.node import nodes
from nbio.verify.rewriting import once_each, rebuild, substitute

_IN_A_ROW: Final = 64
_open: ContextVar[frozenset[int]] = ContextVar("the variables whose bodies are being built")


def _each(op: str, index: Index, body: Callable[[IntExpr], BoolLike]) -> Expr:
    # Two variables of one name would be one node: where `i` belongs to a quantifier around this
    # one, `a[i] == a[j]` would be taken for `a[j] == a[j]`, which is true. So the name differs from
    # those that are open around it, and from those bound in what the body was given ready-made.
    around, number = _open.get(frozenset()), 0
    while True:
        name = f"{index.name}_{number}_" if number else f"{index.name}_"
        bound = bound_variable(name, 0, index.size - 1)
        number += 1
        if bound.uid in around:
            continue
        before = _open.set(around | {bound.uid})
        try:
            inner = boolean(body(bound))
        finally:
            _open.reset(before)
        if bound.uid not in _bound_in(inner):
            return quantifier(op, bound, index.size, inner)


def _bound_in(expr: Expr) -> set[int]:
    return {n.args[0].uid for n in nodes(expr) if n.op in ("forall", "exists", "count")}


def forall(index: Index, body: Callable[[IntExpr], BoolLike]) -> BoolExpr:
    """``body(i)`` holds of every member of the index."""
    return as_bool(_each("forall", index, body))


def exists(index: Index, body: Callable[[IntExpr], BoolLike]) -> BoolExpr:
    """``body(i)`` holds of some member of the index."""
    return as_bool(_each("exists", index, body))


def count(index: Index, body: Callable[[IntExpr], BoolLike]) -> IntExpr:
    """Of how many members of the index ``body(i)`` holds."""
    return as_int(_each("count", index, body))


def expand(expr: Expr) -> Expr:
    """Quantifiers written out: every visitor but Z3's works on this form."""
    return once_each(expr, _expanded)


def _expanded(node: Expr, walk: Callable[[Expr], Expr]) -> Expr:
    if node.op not in ("forall", "exists", "count"):
        args = [walk(a) for a in node.args]
        same = all(a is b for a, b in zip(args, node.args, strict=True))
        return node if same else rebuild(node, args)
    bound, size = node.args[0], int(node.data[0])
    body = walk(node.args[1])
    parts = [as_bool(substitute(body, {bound.uid: integer(i)})) for i in range(size)]
    if node.op == "count":
        return total(parts)
    return all_of(*parts) if node.op == "forall" else any_of(*parts)


def sum_of(index: Index, body: Callable[[IntExpr], IntLike]) -> IntExpr:
    """The sum of ``body(i)`` over the members of the index."""
    return summed([integer(body(integer(i))) for i in range(index.size)])


def least_of(index: Index, body: Callable[[IntExpr], IntLike]) -> IntExpr:
    """The smallest ``body(i)`` over the members of the index."""
    return minimum(*(body(integer(i)) for i in range(index.size)))


def greatest_of(index: Index, body: Callable[[IntExpr], IntLike]) -> IntExpr:
    """The largest ``body(i)`` over the members of the index."""
    return maximum(*(body(integer(i)) for i in range(index.size)))


def total(parts: Sequence[BoolLike]) -> IntExpr:
    """How many of the parts hold."""
    return summed([ite(part, 1, 0) for part in parts])


def summed(terms: Sequence[IntExpr]) -> IntExpr:
    """The sum of all terms; many are added by halves, so that no expression nests too deeply."""
    if len(terms) > _IN_A_ROW:
        half = len(terms) // 2
        return summed(terms[:half]) + summed(terms[half:])
    return reduce(operator.add, terms, integer(0))


def lookup(values: Sequence[IntLike], at: IntLike) -> IntExpr:
    """``values[at]`` of a fixed table; outside it, the nearest one."""
    place = integer(at)
    result = integer(values[-1])
    for k in range(len(values) - 2, -1, -1):
        result = ite(place <= k, values[k], result)
    return result
