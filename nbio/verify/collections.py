"""Sets, bags and queues of an index's members, as arrays of cells that the state holds.

Each is a thin view: equal contents are equal states, whatever order they came about in (a queue's
free places all hold the same value). :class:`~nbio.verify.steps.Step` changes them: ``add``,
``remove``, ``fill``, ``push``, ``pop``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from nbio.verify.declared import BoolArray, Index, IntArray
from nbio.verify.expr import (
    BoolExpr,
    IntExpr,
    IntLike,
    ModelError,
    all_of,
    any_of,
    caller,
    implies,
    integer,
)
from nbio.verify.quantifiers import summed, total

Keys = tuple[IntLike, ...]


class SetOf:
    """A set of members of ``of``; ``s[i]`` is whether ``i`` is in it."""

    def __init__(self, cells: BoolArray, keys: Keys, of: Index) -> None:
        self._cells, self._keys, self.of = cells, keys, of

    def __getitem__(self, member: IntLike) -> BoolExpr:
        return self._cells[(*self._keys, member)]

    @property
    def size(self) -> IntExpr:
        """How many members are in it."""
        return total([self[i] for i in range(self.of.size)])

    @property
    def is_empty(self) -> BoolExpr:
        """Whether nothing is in it."""
        return ~any_of(*(self[i] for i in range(self.of.size)))

    def includes(self, other: SetOf) -> BoolExpr:
        """Whether all of ``other`` is in it."""
        return all_of(*(implies(other[i], self[i]) for i in range(self.of.size)))


class Bag:
    """How often each member of ``of`` is in it: ``b[i]`` times."""

    def __init__(self, cells: IntArray, keys: Keys, of: Index) -> None:
        self._cells, self._keys, self.of = cells, keys, of

    def __getitem__(self, member: IntLike) -> IntExpr:
        return self._cells[(*self._keys, member)]

    @property
    def size(self) -> IntExpr:
        """How many are in it, each as often as it is."""
        return summed([self[member] for member in range(self.of.size)])

    @property
    def is_empty(self) -> BoolExpr:
        """Whether nothing is in it."""
        return all_of(*(self[i] == 0 for i in range(self.of.size)))


class Queue:
    """First in, first out: ``q[0]`` is the oldest; a free place holds ``of.size``, no member."""

    def __init__(self, cells: IntArray, keys: Keys, of: Index, most: int) -> None:
        self._cells, self._keys, self.of, self.most = cells, keys, of, most

    def __getitem__(self, place: IntLike) -> IntExpr:
        return self._cells[(*self._keys, place)]

    @property
    def name(self) -> str:
        """The name it was declared by."""
        return self._cells.variable.name

    @property
    def head(self) -> IntExpr:
        """The oldest; ``of.size`` where it is empty."""
        return self[0]

    @property
    def size(self) -> IntExpr:
        """How many wait in it."""
        return total([self[k] != self.of.size for k in range(self.most)])

    @property
    def is_empty(self) -> BoolExpr:
        """Whether nobody waits."""
        return self[0] == self.of.size

    @property
    def is_full(self) -> BoolExpr:
        """Whether every place is taken."""
        return self[self.most - 1] != self.of.size

    def has(self, member: IntLike) -> BoolExpr:
        """Whether ``member`` waits in it."""
        return any_of(*(self[k] == member for k in range(self.most)))


C = TypeVar("C")


class ArrayOf(Generic[C]):
    """A set, bag or queue for each member of an index: ``votes[ballot]``."""

    def __init__(self, name: str, keys: int, view: Callable[[Keys], C]) -> None:
        self._name, self._keys, self._view = name, keys, view

    def __getitem__(self, key: IntLike | Keys) -> C:
        keys = key if isinstance(key, tuple) else (key,)
        if len(keys) != self._keys:
            raise ModelError(
                f"{caller()}: {self._name} takes {self._keys} indices, got {len(keys)}"
            )
        return self._view(keys)


def member(of: IntLike, subset: IntExpr) -> BoolExpr:
    """Whether ``of`` is in a subset, a parameter over :meth:`~nbio.verify.spec.Model.subsets`."""
    one = integer(of)
    bits = [
        (one == k) & (subset // (1 << k) % 2 == 1)
        for k in range(max(0, one.lo), min(one.hi, subset.hi.bit_length() - 1) + 1)
    ]
    return any_of(*bits)
