"""What a model declares: index types, variables, and arrays of them as expressions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NoReturn

from nbio.verify.expr import (
    BoolExpr,
    IntExpr,
    IntLike,
    ModelError,
    caller,
    integer,
    select_bool,
    select_int,
)


@dataclass(frozen=True)
class Index:
    """An index type ``0..size-1``; ``symmetric`` says that its members are interchangeable.

    ``names`` are its members' in stories. Members of an index that is ``subsets_of`` another are
    its subsets: bit ``i`` of the number says whether ``i`` is in it.
    """

    name: str
    size: int
    symmetric: bool = False
    names: tuple[str, ...] = ()
    subsets_of: Index | None = None

    def show(self, value: int) -> str:
        """A member as a person would write it."""
        if self.subsets_of is not None:
            of = self.subsets_of
            return "{" + ", ".join(of.show(i) for i in range(of.size) if value >> i & 1) + "}"
        return self.names[value] if self.names else str(value)


Over = Index | tuple[Index, ...]
"""What an array is over: one index, or several."""


@dataclass(frozen=True)
class Variable:
    """A declared variable: ``size`` cells of ``lo..hi`` (``labels`` for enums, bool for truth)."""

    name: str
    size: int
    lo: int
    hi: int
    init: tuple[tuple[int, ...], ...]
    truth: bool
    labels: Mapping[int, str] | None = None
    over: tuple[Index, ...] = ()
    holds: Index | None = None
    hidden: bool = False

    def cell_name(self, cell: int) -> str:
        """``state[0]``, ``pc[1,0]`` or the bare name of a scalar."""
        if not self.over:
            return self.name
        places: list[str] = []
        for index in reversed(self.over):
            places.append(index.show(cell % index.size))
            cell //= index.size
        return f"{self.name}[{','.join(reversed(places))}]"

    def show(self, value: int) -> str:
        """A value as a person would write it."""
        if self.truth:
            return "yes" if value else "no"
        if self.labels is None and self.holds and 0 <= value < self.holds.size:
            return self.holds.show(value)
        return (self.labels or {}).get(value, str(value))


class _Array:
    def __init__(self, variable: Variable) -> None:
        self.variable = variable

    def __setitem__(self, key: object, value: object) -> NoReturn:
        name = self.variable.name
        raise ModelError(f"{caller()}: {name}[i] = ... changes no state: do.set({name}[i], ...)")

    # An array is no value; compared as Python compares objects it would be a silent False.
    def __eq__(self, other: object) -> NoReturn:
        name = self.variable.name
        raise ModelError(f"{caller()}: {name} is an array: say which cell, {name}[i], or forall")

    __hash__ = object.__hash__

    def _flat(self, key: IntLike | tuple[IntLike, ...]) -> IntExpr:
        keys = key if isinstance(key, tuple) else (key,)
        over = self.variable.over
        if len(keys) != len(over):
            raise ModelError(
                f"{caller()}: {self.variable.name} takes {len(over)} indices, got {len(keys)}"
            )
        flat = integer(0)
        for part, index in zip(keys, over, strict=True):
            value = integer(part)
            if value.op == "int" and not 0 <= value.lo < index.size:
                raise ModelError(
                    f"{caller()}: {self.variable.name}[{value}]: index {index.name} has only "
                    f"0..{index.size - 1}"
                )
            flat = flat * index.size + value
        return flat


class IntArray(_Array):
    """An array of bounded integers or enum members; ``array[i]`` is an expression."""

    def __getitem__(self, key: IntLike | tuple[IntLike, ...]) -> IntExpr:
        v = self.variable
        return select_int(v.name, v.size, self._flat(key), v.lo, v.hi)


class BoolArray(_Array):
    """An array of booleans; ``array[i]`` is an expression."""

    def __getitem__(self, key: IntLike | tuple[IntLike, ...]) -> BoolExpr:
        v = self.variable
        return select_bool(v.name, v.size, self._flat(key))


def first_in(lo: int, hi: int) -> int:
    """0, or the end of the range that is nearest to it."""
    return min(max(0, lo), hi)


def members_of(kind: type[IntEnum]) -> tuple[int, int, dict[int, str]]:
    """Least and greatest value of an enum, and its members' names."""
    values = sorted(map(int, kind))
    return values[0], values[-1], {int(m): m.name for m in kind}


def shape_of(over: Over) -> tuple[tuple[Index, ...], int]:
    """An array's indices, and how many cells it has."""
    indices = over if isinstance(over, tuple) else (over,)
    size = 1
    for index in indices:
        size *= index.size
    return indices, size


def starts_of(
    init: int | Sequence[int], choices: Sequence[int], size: int
) -> tuple[tuple[int, ...], ...]:
    """What each cell may be at first."""
    if choices:
        return (tuple(map(int, choices)),) * size
    return ((int(init),),) * size if isinstance(init, int) else tuple((int(c),) for c in init)
