"""Expressions rebuilt: with other leaves, other parameters, constants folded on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nbio.verify.expr import (
    BoolExpr,
    Expr,
    as_bool,
    as_int,
    combined,
    implies,
    ite,
    quantifier,
    select_bool,
    select_int,
)


def rebuild(expr: Expr, args: Sequence[Expr]) -> Expr:
    """``expr`` with other arguments; folds constants and recomputes intervals on the way."""
    op = expr.op
    if (found := combined(op, args)) is not None:
        return found
    if op == "not":
        return ~as_bool(args[0])
    if op == "iff":
        return as_bool(args[0]) == as_bool(args[1])
    if op == "implies":
        return implies(as_bool(args[0]), as_bool(args[1]))
    if op == "ite":
        test = as_bool(args[0])
        if isinstance(args[1], BoolExpr):
            return ite(test, args[1], as_bool(args[2]))
        return ite(test, as_int(args[1]), as_int(args[2]))
    if op == "select":
        name, size = str(expr.data[0]), int(expr.data[1])
        if isinstance(expr, BoolExpr):
            return select_bool(name, size, as_int(args[0]))
        return select_int(name, size, as_int(args[0]), expr.lo, expr.hi)
    if op in ("forall", "exists", "count"):
        return quantifier(op, as_int(args[0]), int(expr.data[0]), args[1])
    return expr


def rewrite(expr: Expr, leaf: Callable[[Expr], Expr | None], memo: dict[int, Expr]) -> Expr:
    """Rebuild bottom-up; ``leaf`` may replace any node before its arguments are looked at."""
    found = memo.get(expr.uid)
    if found is None:
        found = leaf(expr)
        if found is None:
            args = [rewrite(a, leaf, memo) for a in expr.args]
            changed = any(a is not b for a, b in zip(args, expr.args, strict=True))
            found = rebuild(expr, args) if changed else expr
        memo[expr.uid] = found
    return found


def once_each(expr: Expr, make: Callable[[Expr, Callable[[Expr], Expr]], Expr]) -> Expr:
    """What ``make(node, again)`` makes of a node; it asks ``again`` about the node's parts."""
    memo: dict[int, Expr] = {}

    def again(node: Expr) -> Expr:
        found = memo.get(node.uid)
        if found is None:
            found = memo[node.uid] = make(node, again)
        return found

    return again(expr)


def substitute(expr: Expr, values: dict[int, Expr]) -> Expr:
    """Replace nodes by ``uid`` (parameters by constants, a record's fields by array cells)."""
    return rewrite(expr, lambda node: values.get(node.uid), {})
