"""Symmetry: of the states that differ only by a renaming of interchangeable indices, one is kept.

A permutation of the members of each ``symmetric`` index (Ip and Dill's scalarsets) moves a state's
array cells, and renames the values of variables that hold such members. The group is small (at most
:data:`MOST` permutations), so the representative of an orbit is simply the least of all its members
as packed words: the number of states found is then the exact number of reachable orbits.

That the indices really are interchangeable is not believed but shown, for permutations that make up
all others: each action at renamed parameters does to the renamed state just what it did, each
property and the initial states are kept. Shown means: the same expression up to the order of
operands, or else equal by Z3 for all values in range. Where it isn't so, nothing is reduced.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nbio.verify.expr import (
    BoolExpr,
    Expr,
    IntExpr,
    as_bool,
    as_int,
    implies,
    ite,
)
from nbio.verify.packing import Packing, Words
from nbio.verify.program import Cell, Instance, Program, State
from nbio.verify.rewriting import once_each, rebuild, substitute
from nbio.verify.spec import Index, Model

MOST: Final = 120
"""Permutations of the largest group that is worth its cost: every state is packed so often."""
PATIENCE: Final = 10_000
"""Milliseconds that Z3 may take to show one equality."""


class SymmetryError(Exception):
    """The search can't be reduced; the message says which index, and what tells members apart."""


def symmetric_indices(model: Model) -> list[Index]:
    """The model's indices of more than one member that are declared symmetric."""
    used: dict[str, Index] = {}
    for v in model.variables.values():
        for index in (*v.over, *([v.holds] if v.holds else [])):
            used[index.name] = index
    for action in model.actions:
        used.update({i.name: i for _, i in action.params})
    plain = [i.subsets_of or i for i in used.values()]
    return [i for i in {i.name: i for i in plain}.values() if i.symmetric and i.size > 1]


@dataclass(frozen=True)
class Renaming:
    """One permutation: ``to[index name][member]`` is the member's new name."""

    program: Program
    to: Mapping[str, tuple[int, ...]]

    def _place(self, cell: Cell) -> int:
        """Where a cell of an array goes, as its number within the array."""
        places, rest = list[int](), cell.number
        for index in reversed(cell.variable.over):
            places.append(rest % index.size)
            rest //= index.size
        place = 0
        for index, part in zip(cell.variable.over, reversed(places), strict=True):
            place = place * index.size + self._member(index, part)
        return place

    def _member(self, index: Index, value: int) -> int:
        if index.subsets_of is not None:
            of = index.subsets_of
            return sum(1 << self._member(of, i) for i in range(of.size) if value >> i & 1)
        to = self.to.get(index.name)
        return to[value] if to and 0 <= value < len(to) else value

    def cells(self) -> list[int]:
        """Position by position, where a cell goes."""
        return [i - c.number + self._place(c) for i, c in enumerate(self.program.cells)]

    def value(self, cell: Cell, value: int) -> int:
        """A cell's value under its new name."""
        holds = cell.variable.holds
        return self._member(holds, value) if holds else value

    def state(self, state: State) -> State:
        """The renamed state."""
        new = list(state)
        for cell, to, value in zip(self.program.cells, self.cells(), state, strict=True):
            new[to] = self.value(cell, value)
        return tuple(new)

    def renamed(self, cell: Cell, value: Expr) -> Expr:
        """The expression of a cell's value under its new name."""
        if not cell.variable.holds or not isinstance(value, IntExpr):
            return value
        result = value
        for old in range(cell.variable.holds.size):
            new = self._member(cell.variable.holds, old)
            if new != old:
                result = ite(value == old, new, result)
        return result

    def parameters(self, instance: Instance) -> tuple[int, ...]:
        """An instance's parameters under their new names."""
        pairs = zip(instance.action.params, instance.values, strict=True)
        return tuple(self._member(index, value) for (_, index), value in pairs)

    def __str__(self) -> str:
        moved = (
            f"{name} {old} as {new}"
            for name, to in self.to.items()
            for old, new in enumerate(to)
            if old != new
        )
        return ", ".join(moved)


# ----------------------------------------------------------------------------- reducing


class Symmetry:
    """Picks representatives; SymmetryError where the model's symmetry does not hold."""

    def __init__(self, program: Program, packing: Packing) -> None:
        self.indices = symmetric_indices(program.model)
        self.size = math.prod(math.factorial(i.size) for i in self.indices)
        if self.size > MOST:
            names = ", ".join(f"{i.name} ({i.size})" for i in self.indices)
            raise SymmetryError(f"{names} has {self.size:,} permutations, more than {MOST}")
        _show(program, self.indices)
        self._packing = packing
        self._moves = [_Move(r, packing) for r in _group(program, self.indices)]

    def __str__(self) -> str:
        return f"{', '.join(i.name for i in self.indices)} ({self.size} permutations)"

    def least(self, words: Words) -> Words:
        """The representative of each state's orbit."""
        digits = [self._packing.digit(words, c) for c in range(len(self._packing.cells))]
        best = words
        for move in self._moves:
            other = move.apply(words, digits)
            best = np.where(_less(other, best), other, best)
        return best


def _less(a: Words, b: Words) -> NDArray[np.bool_]:
    """Whether packed states come before others, word by word."""
    less: NDArray[np.bool_] = a[-1] < b[-1]
    for w in range(a.shape[0] - 2, -1, -1):
        less = (a[w] < b[w]) | ((a[w] == b[w]) & less)
    return less


class _Move:
    """A renaming of packed states: which digits change, and what they become."""

    def __init__(self, renaming: Renaming, packing: Packing) -> None:
        self._packing = packing
        self._sources: list[tuple[int, int, NDArray[np.uint64] | None]] = []
        for source, (cell, to) in enumerate(zip(packing.cells, renaming.cells(), strict=True)):
            table = None
            if cell.variable.holds:
                values = [renaming.value(cell, v) - cell.lo for v in range(cell.lo, cell.hi + 1)]
                table = np.array(values, dtype=np.uint64)
            if source != to or table is not None:
                self._sources.append((source, to, table))

    def apply(self, words: Words, digits: list[NDArray[np.uint64]]) -> Words:
        """The renamed states."""
        new = words.copy()
        for source, to, table in self._sources:
            digit = self._packing.digits[to]
            value = digits[source] if table is None else table[digits[source].astype(np.intp)]
            new[digit.word] += (value - digits[to]) * np.uint64(digit.weight)
        return new


def _group(program: Program, indices: list[Index]) -> Iterator[Renaming]:
    """Every permutation but the identity."""
    every = itertools.product(*(itertools.permutations(range(i.size)) for i in indices))
    names = [i.name for i in indices]
    others = itertools.islice(every, 1, None)
    return (Renaming(program, dict(zip(names, p, strict=True))) for p in others)


def _generators(program: Program, index: Index) -> Iterator[Renaming]:
    """A swap and a rotation generate all permutations of an index."""
    members = tuple(range(index.size))
    yield Renaming(program, {index.name: (1, 0, *members[2:])})
    if index.size > 2:
        yield Renaming(program, {index.name: (*members[1:], 0)})


# ------------------------------------------------------------------------------ showing


def _show(program: Program, indices: list[Index]) -> None:
    for index in indices:
        for renaming in _generators(program, index):
            _Proof(program, index, renaming).show()


@dataclass
class _Proof:
    program: Program
    index: Index
    renaming: Renaming

    def __post_init__(self) -> None:
        cells = self.program.cells
        self._to = self.renaming.cells()
        self._leaves: dict[int, Expr] = {}
        for cell, to in zip(cells, self._to, strict=True):
            self._leaves[cells[to].node.uid] = self.renaming.renamed(cell, cell.node)

    def show(self) -> None:
        """SymmetryError where the renaming changes the model."""
        for cell, to in zip(self.program.cells, self._to, strict=True):
            first = {self.renaming.value(cell, v) for v in cell.choices}
            if first != set(self.program.cells[to].choices):
                raise SymmetryError(
                    f"the initial states tell members of {self.index.name} apart ({self.renaming})"
                )
        model, lower = self.program.model, self.program.lower
        self._same("initially", self.program.starts, self.program.starts)
        self._same("within", self.program.constraint, self.program.constraint)
        for p in model.properties:
            self._same(f"{p.place}: {p.kind} {p.name}", as_bool(lower(p.holds)), lower(p.holds))
        self._same("done", self.program.done, self.program.done)
        by_name = {(i.action.name, i.values): i for i in self.program.instances}
        for one in self.program.instances:
            self._same_steps(one, by_name[one.action.name, self.renaming.parameters(one)])

    def _same_steps(self, one: Instance, other: Instance) -> None:
        what = f"{one.action.place}: action {one.label}"
        self._same(what, one.guard, other.guard)
        self._same(what, one.in_range, other.in_range)
        mine, its = dict(one.updates), dict(other.updates)
        for position, cell in enumerate(self.program.cells):
            to = self._to[position]
            if position in mine or to in its:
                target = self.program.cells[to].node
                new = self.renaming.renamed(cell, mine.get(position, cell.node))
                self._same(what, new, its.get(to, target), one.guard)

    def _same(self, what: str, here: Expr, there: Expr, where: BoolExpr | None = None) -> None:
        """``there``, read in the renamed state, is ``here``."""
        back = substitute(there, self._leaves)
        if _normal(here).uid == _normal(back).uid:
            return
        truth = isinstance(here, BoolExpr)
        same = as_bool(here) == as_bool(back) if truth else as_int(here) == as_int(back)
        example = self._differs(same if where is None else implies(where, same))
        if example is not None:
            raise SymmetryError(
                f"{what} tells members of {self.index.name} apart ({self.renaming}){example}"
                f"{self._hint()}"
            )

    def _hint(self) -> str:
        """The usual reason: a variable whose values are members, and nobody said so."""
        unsaid = [
            v.name
            for v in self.program.model.variables.values()
            if not v.truth and v.holds is None and v.labels is None and v.lo == 0
            if v.hi in (self.index.size - 1, self.index.size)
        ]
        names = ", ".join(unsaid)
        return f"; if {names} holds members of it, say holds={self.index.name}" if unsaid else ""

    def _differs(self, same: BoolExpr) -> str | None:
        """A state in which it does not hold, in words; None where Z3 shows that there is none."""
        from nbio.verify.smt import load_z3, to_z3

        z3 = load_z3()
        terms = {
            c.node.uid: z3.Bool(c.name) if c.variable.truth else z3.Int(c.name)
            for c in self.program.cells
        }
        solver = z3.Solver()
        solver.set("timeout", PATIENCE)
        for cell in self.program.cells:
            if not cell.variable.truth:
                solver.add(terms[cell.node.uid] >= cell.lo, terms[cell.node.uid] <= cell.hi)
        solver.add(z3.Not(to_z3(same, lambda leaf: terms[leaf.uid])))
        found = solver.check()
        if found == z3.unsat:
            return None
        if found == z3.unknown:
            return ", as far as Z3 could tell in its time"
        state = solver.model()
        shown = (f"{d.name()}={state[d]}" for d in sorted(state.decls(), key=lambda d: d.name()))
        return f", where {', '.join(shown)}"


def _normal(expr: Expr) -> Expr:
    """With the operands of commutative operators in a fixed order."""
    return once_each(expr, _ordered)


def _ordered(node: Expr, walk: Callable[[Expr], Expr]) -> Expr:
    parts = _terms(node) if node.op == "add" else node.args
    args = [walk(a) for a in parts]
    if node.op in ("and", "or", "add", "mul", "min", "max", "eq", "iff"):
        args.sort(key=lambda a: a.uid)
    if node.op == "add":
        return reduce(operator.add, map(as_int, args))
    return rebuild(node, args) if args else node


def _terms(node: Expr) -> list[Expr]:
    """The terms of a sum, however it is bracketed."""
    return [t for a in node.args for t in _terms(a)] if node.op == "add" else [node]
