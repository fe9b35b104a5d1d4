"""Expressions as Python source: for messages, for emitted code, and for the transition tables."""

from __future__ import annotations

from typing import Final

from nbio.verify.expr import Expr

# Binding strength of each operator in Python, loosest first.
_LEVELS: Final = {
    "ite": 0,
    "or": 1,
    "and": 2,
    "not": 3,
    "eq": 4,
    "lt": 4,
    "le": 4,
    "iff": 4,
    "add": 6,
    "sub": 6,
    "mul": 7,
    "div": 7,
    "mod": 7,
}
_ATOM: Final = 9
_INFIX: Final = {
    "eq": "==",
    "lt": "<",
    "le": "<=",
    "iff": "==",
    "add": "+",
    "sub": "-",
    "mul": "*",
    "div": "//",
    "mod": "%",
}


def to_source(expr: Expr) -> str:
    """Python source of ``expr`` over plain ints and bools, with no parentheses to spare."""
    return _render(expr)[0]


def _wrap(expr: Expr, above: int) -> str:
    text, level = _render(expr)
    return text if level > above else f"({text})"


def _render(expr: Expr) -> tuple[str, int]:
    op, args = expr.op, expr.args
    if op in ("int", "bool"):
        return (_constant(expr), _ATOM)
    if op in ("var", "param"):
        return (str(expr.data[0]), _ATOM)
    if op == "select":
        return (f"{expr.data[0]}[{_index(args[0], int(expr.data[1]))}]", _ATOM)
    if op == "not" and args[0].op in ("eq", "iff"):
        a, b = args[0].args
        return (f"{_wrap(a, 4)} != {_wrap(b, 4)}", 4)
    if op == "not":
        return (f"not {_wrap(args[0], 2)}", 3)
    if op in ("and", "or"):
        level = _LEVELS[op]
        return (f" {op} ".join(_wrap(a, level) for a in args), level)
    if op == "implies":
        return (f"not {_wrap(args[0], 3)} or {_wrap(args[1], 1)}", 1)
    if op == "ite":
        return (f"{_wrap(args[1], 0)} if {_wrap(args[0], 0)} else {_wrap(args[2], -1)}", 0)
    if op in ("min", "max"):
        return (f"{op}({', '.join(_render(a)[0] for a in args)})", _ATOM)
    if op in ("forall", "exists", "count"):
        name = {"forall": "all", "exists": "any", "count": "sum"}[op]
        bound = _render(args[0])[0]
        return (f"{name}({_render(args[1])[0]} for {bound} in range({expr.data[0]}))", _ATOM)
    if op in ("lt", "le") and args[0].op == "int":
        return (f"{_wrap(args[1], 4)} {'>' if op == 'lt' else '>='} {_wrap(args[0], 4)}", 4)
    level = _LEVELS[op]
    # The right operand of a subtraction needs parentheses at its own level; a comparison both.
    left = level if level == 4 else level - 1
    return (f"{_wrap(args[0], left)} {_INFIX[op]} {_wrap(args[1], level)}", level)


def _index(index: Expr, size: int) -> str:
    """The index, clamped where it could leave the array: reads are total."""
    text = _render(index)[0]
    if index.lo >= 0 and index.hi < size:
        return text
    return f"min(max({text}, 0), {size - 1})"


def _constant(expr: Expr) -> str:
    if expr.op == "bool":
        return "True" if expr.data[0] else "False"
    return str(expr.data[-1])
