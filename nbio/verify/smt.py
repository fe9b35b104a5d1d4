"""Expressions as Z3 terms. Z3 is imported on use: ``pip install nbio[verify]``.

Variables and parameters become what ``leaf`` makes of them, so that a lifecycle's fields can be
constants, array cells or functions of an unbounded sort. Quantifiers over an index of known size
are written out, unless ``quantified`` makes something else of them (instances, for an index without
end); truth values are Z3 booleans, never numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nbio.verify.expr import Expr, ModelError
from nbio.verify.spec import expand

# Z3's Python interface is untyped; a term is whatever it says a term is.
Term = Any


def load_z3() -> Any:
    """The z3 module; ModuleNotFoundError says what to install."""
    try:
        import z3
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("this needs Z3: pip install 'nbio[verify]'") from error
    return z3


def to_z3(
    expr: Expr, leaf: Callable[[Expr], Term], quantified: Callable[[Expr], Term] | None = None
) -> Term:
    """``expr`` as a term; ``leaf`` gives variables, parameters and array reads.

    ``quantified`` gives ``forall``, ``exists`` and ``count`` nodes; without it they are written
    out. Raises ModelError for an operator that no visitor knows.
    """
    z3 = load_z3()
    memo: dict[int, Term] = {}

    def walk(node: Expr) -> Term:
        found = memo.get(node.uid)
        if found is None:
            if quantified is not None and node.op in ("forall", "exists", "count"):
                found = quantified(node)
            else:
                found = _term(z3, node, leaf, walk)
            memo[node.uid] = found
        return found

    return walk(expand(expr) if quantified is None else expr)


def _term(z3: Any, node: Expr, leaf: Callable[[Expr], Term], walk: Callable[[Expr], Term]) -> Term:
    op = node.op
    if op in ("var", "param", "select"):
        return leaf(node)
    if op == "bool":
        return z3.BoolVal(bool(node.data[0]))
    if op == "int":
        return z3.IntVal(node.lo)
    parts = [walk(a) for a in node.args]
    match op:
        case "and":
            return z3.And(*parts)
        case "or":
            return z3.Or(*parts)
        case "not":
            return z3.Not(parts[0])
        case "implies":
            return z3.Implies(parts[0], parts[1])
        case "ite":
            return z3.If(parts[0], parts[1], parts[2])
    a, b = parts
    match op:
        case "add":
            return a + b
        case "sub":
            return a - b
        case "mul":
            return a * b
        case "div":
            # Z3 rounds so that the rest is not negative: by a positive number, down.
            return a / b
        case "mod":
            return a % b
        case "eq" | "iff":
            return a == b
        case "lt":
            return a < b
        case "le":
            return a <= b
        case "min":
            return z3.If(a <= b, a, b)
        case "max":
            return z3.If(a >= b, a, b)
    raise ModelError(f"Z3's visitor has no rule for the operator {op!r}")
