"""What a model declares: index types, variables, and arrays of them as expressions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NoReturn

from nbio.verify.expr import (
    TRUE,
    BoolExpr,
    IntExpr,
    IntLike,
    ModelError,
    caller,
    integer,
    ite,
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


_FARTHEST: Final = 1 << 62

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
    enum: str = ""
    """The name of the enum that its values are members of, if any."""

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


def check_variable(v: Variable) -> None:
    """ModelError for a name, a range or start values that no variable can have."""
    if "[" in v.name or not v.name:
        raise ModelError(
            f"{caller()}: a variable can't be called {v.name!r}: a[0] is the cell of an array"
        )
    if v.lo < -_FARTHEST or v.hi > _FARTHEST or v.hi - v.lo >= _FARTHEST:
        raise ModelError(
            f"{caller()}: {v.name} has the range {v.lo}..{v.hi}: at most 2^62 values fit, "
            f"between -2^62 and 2^62"
        )
    if v.lo > v.hi:
        raise ModelError(f"{caller()}: {v.name} has the empty range {v.lo}..{v.hi}")
    if len(v.init) != v.size:
        raise ModelError(f"{caller()}: {v.name} has {v.size} cells, got {len(v.init)} start values")
    for value in (value for choices in v.init for value in choices):
        if not v.lo <= value <= v.hi:
            raise ModelError(
                f"{caller()}: {v.name} starts as {value}, outside its range {v.lo}..{v.hi}"
            )


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
        flat, inside = integer(0), TRUE
        for part, index in zip(keys, over, strict=True):
            value = integer(part)
            if value.op == "int" and not 0 <= value.lo < index.size:
                raise ModelError(
                    f"{caller()}: {self.variable.name}[{value}]: index {index.name} has only "
                    f"0..{index.size - 1}"
                )
            flat = flat * index.size + value
            if len(over) > 1:
                inside = inside & within(value, index.size)
        # An index that leaves its row must not reach into the next one: it is none of the array's.
        return ite(inside, flat, -1)


def within(value: IntExpr, size: int) -> BoolExpr:
    """That an index is one of ``size`` members; true as it stands, where its range says so."""
    low = TRUE if value.lo >= 0 else value >= 0
    return low & (TRUE if value.hi < size else value < size)


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


def counted(name: str, members: int | Sequence[str] | type[IntEnum]) -> tuple[int, tuple[str, ...]]:
    """How many members an index has, and their names, if they have any."""
    names: tuple[str, ...] = ()
    if isinstance(members, type):
        names = tuple(m.name for m in sorted(members))
        if sorted(members) != list(range(len(names))):
            raise ModelError(f"{caller()}: index {name}: {members.__name__} isn't 0, 1, 2, ...")
    elif not isinstance(members, int):
        names = tuple(members)
        if len(set(names)) != len(names):
            raise ModelError(f"{caller()}: index {name} has two members of one name: {names}")
    size = members if isinstance(members, int) else len(names)
    if size < 1:
        raise ModelError(f"{caller()}: index {name} needs at least one member, got {size}")
    return size, names


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


def inside(of: Index, members: Sequence[int]) -> list[bool]:
    """Of each member whether it is one of these; ModelError for one that isn't of the index."""
    for member in members:
        if not 0 <= member < of.size:
            raise ModelError(f"{caller()}: {member} is no member of {of.name}: 0..{of.size - 1}")
    return [i in members for i in range(of.size)]


def starts_of(
    init: int | Sequence[int], choices: Sequence[int], size: int
) -> tuple[tuple[int, ...], ...]:
    """What each cell may be at first."""
    if choices:
        return (tuple(map(int, choices)),) * size
    return ((int(init),),) * size if isinstance(init, int) else tuple((int(c),) for c in init)
