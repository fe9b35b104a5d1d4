"""A model written out: every array a row of cells, every action its instances.

Lowering happens once, here, for all evaluators that work on concrete states: quantifiers are
expanded, parameters replaced by values, an array read by a variable index becomes a choice between
cells, an array write by a variable index becomes a conditional update of each cell.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from nbio.verify.declared import within
from nbio.verify.expr import (
    TRUE,
    BoolExpr,
    Expr,
    IntExpr,
    ModelError,
    all_of,
    any_of,
    as_bool,
    as_int,
    bool_var,
    int_var,
    integer,
    ite,
)
from nbio.verify.names import check_names, symbols_of
from nbio.verify.rewriting import rewrite, substitute
from nbio.verify.spec import Action, Model, Property, Variable, expand

State = tuple[int, ...]


@dataclass(frozen=True)
class Cell:
    """One state variable of the written-out model."""

    name: str
    variable: Variable
    number: int

    @property
    def lo(self) -> int:
        """Least value."""
        return self.variable.lo

    @property
    def hi(self) -> int:
        """Greatest value."""
        return self.variable.hi

    @property
    def choices(self) -> tuple[int, ...]:
        """What it may be at first."""
        return self.variable.init[self.number]

    @property
    def node(self) -> Expr:
        """The leaf that stands for this cell in lowered expressions."""
        return _leaf(self.variable, self.number)


def _leaf(v: Variable, number: int) -> Expr:
    name = v.cell_name(number)
    return bool_var(name) if v.truth else int_var(name, v.lo, v.hi)


@dataclass(frozen=True)
class Instance:
    """An action at given parameter values: a guard, and a new value for each cell it writes."""

    action: Action
    values: tuple[int, ...]
    guard: BoolExpr
    updates: tuple[tuple[int, Expr], ...]
    in_range: BoolExpr

    @property
    def label(self) -> str:
        """``name(1, 0)``, or ``name(Ann)`` where members have names."""
        pairs = zip(self.action.params, self.values, strict=True)
        inner = ", ".join(index.show(value) for (_, index), value in pairs)
        return f"{self.action.name}({inner})" if self.values else self.action.name


@dataclass(frozen=True)
class Fair:
    """Instances (by number) that are fair taken as one."""

    name: str
    strong: bool
    instances: tuple[int, ...]


class Program:
    """The written-out form of ``model``; ``cells`` fixes the order of a state tuple."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.cells = [
            Cell(v.cell_name(n), v, n) for v in model.variables.values() for n in range(v.size)
        ]
        self.position = {cell.node.uid: i for i, cell in enumerate(self.cells)}
        self._first: dict[str, int] = {}
        for i, cell in enumerate(self.cells):
            self._first.setdefault(cell.variable.name, i)
        self._memo: dict[int, Expr] = {}
        self._check_cells()
        check_names(model)
        self.instances = [i for a in model.actions for i in self._instances(a)]
        self.done = as_bool(self.lower(model.done_when))
        self.starts = as_bool(self.lower(model.starts_where))
        self.constraint = as_bool(self.lower(model.constraint))

    def _check_cells(self) -> None:
        """ModelError where two cells have one name: they would be taken for each other."""
        seen: dict[str, Cell] = {}
        for cell in self.cells:
            other = seen.setdefault(cell.name, cell)
            if other is not cell:
                raise ModelError(
                    f"{self.model.name}: the variables {other.variable.name} and "
                    f"{cell.variable.name} both have a cell called {cell.name}"
                )

    # ------------------------------------------------------------------------- lowering

    def lower(self, expr: Expr) -> Expr:
        """``expr`` over cells only: no parameters, no arrays, no quantifiers."""
        return rewrite(expand(expr), self._cell_of, self._memo)

    def holds(self, prop: Property) -> BoolExpr:
        """A property's (first) predicate, lowered."""
        return as_bool(self.lower(prop.holds))

    def _cell_of(self, node: Expr) -> Expr | None:
        if node.op == "param":
            raise ModelError(
                f"parameter {node.data[0]} is used outside the action that declares it"
            )
        if node.op == "var" and str(node.data[0]) not in self._first:
            if node.uid in self.position:
                return node
            raise ModelError(f"{self.model.name}: unknown variable {node.data[0]}")
        if node.op != "select":
            return None
        name, size = str(node.data[0]), int(node.data[1])
        if name not in self._first:
            raise ModelError(f"{self.model.name}: unknown array {name}")
        index = as_int(self.lower(node.args[0]))
        first = self._first[name]
        if index.op == "int":
            return self.cells[first + min(max(index.lo, 0), size - 1)].node
        return _choose(index, [self.cells[first + k].node for k in range(size)])

    def _instances(self, action: Action) -> Iterator[Instance]:
        symbols = symbols_of(action)
        for values in itertools.product(*(range(i.size) for _, i in action.params)):
            known = {u: integer(v) for u, v in zip(symbols, values, strict=True)}
            yield self._instance(action, values, {u: as_int(e) for u, e in known.items()})

    def _instance(
        self, action: Action, values: tuple[int, ...], known: dict[int, IntExpr]
    ) -> Instance:
        env: dict[int, Expr] = dict(known)

        def here(expr: Expr) -> Expr:
            return self.lower(substitute(expr, env))

        new: dict[int, Expr] = {}
        in_range: BoolExpr = TRUE
        for update in action.updates:
            value, when = here(update.value), as_bool(here(update.when))
            index = None if update.index is None else as_int(here(update.index))
            for position, condition in self._targets(update.variable, index):
                before = new.get(position, self.cells[position].node)
                new[position] = _either(all_of(when, condition), value, before)
            in_range = in_range & (~when | self._index_fits(update.variable, index))
        changed = tuple((p, e) for p, e in sorted(new.items()) if e.uid != self.cells[p].node.uid)
        return Instance(action, values, as_bool(here(action.guard)), changed, in_range)

    def _targets(self, name: str, index: IntExpr | None) -> list[tuple[int, BoolExpr]]:
        first, size = self._first[name], self.model.variables[name].size
        if index is None:
            return [(first, TRUE)]
        low, high = max(0, index.lo), min(size - 1, index.hi)
        return [(first + k, index == k) for k in range(low, high + 1)]

    def _index_fits(self, name: str, index: IntExpr | None) -> BoolExpr:
        if index is None:
            return TRUE
        return within(index, self.model.variables[name].size)

    def fairness(self) -> list[Fair]:
        """What the model says of fairness."""
        groups: dict[tuple[str, tuple[int, ...]], list[int]] = {}
        strong: dict[str, bool] = {}
        for number, instance in enumerate(self.instances):
            action = instance.action
            if action.fair:
                strong[action.name] = action.fair == "strong"
                groups.setdefault((action.name, _each(instance)), []).append(number)
        found = [Fair(f"{n}{list(v)}", strong[n], tuple(g)) for (n, v), g in groups.items()]
        for said in self.model.fairness:
            its = [n for n, i in enumerate(self.instances) if i.action.name in said.actions]
            found.append(Fair(" or ".join(said.actions), said.kind == "strong", tuple(its)))
        return found

    # --------------------------------------------------------------------------- states

    @property
    def first(self) -> State:
        """One combination of start values (an initial state, unless ``initially`` excludes it)."""
        return tuple(c.choices[0] for c in self.cells)

    @property
    def starts_once(self) -> bool:
        """Whether `first` is the one initial state, as far as the start values tell."""
        return all(len(c.choices) == 1 for c in self.cells)

    def show(self, state: State) -> dict[str, str]:
        """A state as ``{cell: value as written}``."""
        return {c.name: c.variable.show(v) for c, v in zip(self.cells, state, strict=True)}


def _each(instance: Instance) -> tuple[int, ...]:
    """The values of the parameters for each of which the instance's action is fair."""
    action = instance.action
    if action.fair_for is None:
        return instance.values
    pairs = zip(action.params, instance.values, strict=True)
    return tuple(value for (name, _), value in pairs if name in action.fair_for)


def _either(condition: BoolExpr, value: Expr, other: Expr) -> Expr:
    if isinstance(value, BoolExpr):
        return ite(condition, value, as_bool(other))
    return ite(condition, as_int(value), as_int(other))


def _choose(index: IntExpr, cells: list[Expr]) -> Expr:
    """The cell at ``index``; indices outside read the nearest cell."""
    last = len(cells) - 1
    low, high = min(max(0, index.lo), last), max(0, min(last, index.hi))
    if isinstance(cells[0], BoolExpr) and low == index.lo and high == index.hi:
        return any_of(*((index == k) & as_bool(cells[k]) for k in range(low, high + 1)))
    result = cells[high]
    for k in range(high - 1, low - 1, -1):
        result = _either(_at(index, k), cells[k], result)
    return result


def _at(index: IntExpr, k: int) -> BoolExpr:
    """``index`` selects cell ``k``: anything below 0 selects cell 0."""
    return index <= 0 if k == 0 and index.lo < 0 else index == k
