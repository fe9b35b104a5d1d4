"""A node of an expression, which refuses to be taken for a value.

Running one plain Python expression on ints, arrays and Z3 terms alike was tried and goes wrong
silently: ``if x == y`` on Z3 terms is False, ``~True`` is -2, uint8 ``0 - 1`` is 255. So a node
refuses everything by which Python would ask it for a value: ``bool()`` (hence ``if``, ``and``,
``or``, ``not`` and ``a < b < c``), ``in``, ``len``, iteration, and use as a dictionary key. The
error names the line.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn

from nbio.verify.mistakes import NoValueError, caller


class Expr:
    """A node: an operator, its arguments, and the interval of its values. Use the subclasses."""

    __slots__ = ("args", "data", "hi", "lo", "op", "uid")
    op: str
    args: tuple[Expr, ...]
    data: tuple[str | int, ...]
    lo: int
    hi: int
    uid: int

    def _refuse(self, use: str, instead: str) -> NoReturn:
        raise NoValueError(
            f"{caller()}: {use} asks the expression {self} for a value, but it is part of a model "
            f"and has none yet. {instead}"
        )

    def __bool__(self) -> bool:
        self._refuse(
            "a Python if, and, or, not, in, min, max, or a chained comparison",
            "Use ite(...), &, |, ~, any_of(x == a, x == b), minimum(...), maximum(...), and write "
            "a < b < c as (a < b) & (b < c).",
        )

    def __hash__(self) -> int:
        self._refuse("use as a dictionary key or in a set", "Use its .uid.")

    def __len__(self) -> int:
        self._refuse("len()", "Use count(...) over an index.")

    def __iter__(self) -> NoReturn:
        self._refuse("iteration", "Use forall, exists or count over an index.")

    def __contains__(self, item: object) -> bool:
        self._refuse("`in`", "Use any_of(x == a, x == b, ...).")

    def __repr__(self) -> str:
        from nbio.verify.source import to_source

        return to_source(self)


def nodes(expr: Expr) -> Iterator[Expr]:
    """Every node of an expression, each once, the whole before its parts."""
    seen: set[int] = set()
    stack = [expr]
    while stack:
        node = stack.pop()
        if node.uid not in seen:
            seen.add(node.uid)
            yield node
            stack.extend(node.args)
