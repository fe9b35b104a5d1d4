"""Random small models. Hypothesis gives the seeds; what is drawn from one is decided by dice.

Drawn choice by choice, the models hung on which other modules were loaded, as Hypothesis draws from
their constants: what 500 of them must have met was met in one order of the tests, not in another.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from hypothesis import strategies as st

from nbio.verify import (
    BoolArray,
    BoolExpr,
    IntArray,
    IntExpr,
    Model,
    Step,
    count,
    exists,
    forall,
    implies,
    ite,
    maximum,
    minimum,
)
from nbio.verify.expr import integer

MEMBERS = 2
"""Size of the index of the random models' arrays."""
SPREADS = (0, 0, 40_000, 1 << 20, 1 << 40)
"""How much wider than its values a variable's range is: decides layout and number of words."""


SEEDS = st.integers(0, (1 << 64) - 1)
T = TypeVar("T")


@dataclass(frozen=True)
class Number:
    """A variable's value as a small number: its place above ``base``, at most ``top``."""

    node: IntExpr
    base: int
    top: int

    @property
    def small(self) -> IntExpr:
        return self.node - self.base


class Parts:
    """What the expressions and updates of one random model are made of."""

    def __init__(self, dice: random.Random, spread: int, symmetric: bool = False) -> None:
        self.dice, self.spread, self.symmetric = dice, spread, symmetric
        self.model = Model("random")
        self.index = self.model.index("i", MEMBERS, symmetric=symmetric)
        self.numbers: dict[str, tuple[IntExpr | IntArray, int, int]] = {}
        self.truths: dict[str, BoolExpr | BoolArray] = {}
        kinds = [self.one("xa"), *(self.one("xxabf") for _ in range(self.pick(1, 3)))]
        for n, kind in enumerate(kinds):
            self._declare(f"{kind}{n}", kind)

    def pick(self, low: int, high: int) -> int:
        return self.dice.randint(low, high)

    def one(self, options: Sequence[T]) -> T:
        return self.dice.choice(options)

    def _declare(self, name: str, kind: str) -> None:
        m = self.model
        if kind == "b":
            self.truths[name] = m.boolean(name, bool(self.pick(0, 1)))
        elif kind == "f":
            first = bool(self.pick(0, 1)) and not self.symmetric
            self.truths[name] = m.booleans(name, self.index, [first, False])
        else:
            top, base = self.pick(1, 5), self.pick(-2, 1)
            above = self.pick(0, 1) and self.spread  # the values sit at either end of the range
            low, high = base - above, base + top + self.spread - above
            made = (
                m.integer(name, low, high, choices=sorted({base, base + self.pick(0, top)}))
                if kind == "x"
                else m.integers(
                    name,
                    self.index,
                    low,
                    high,
                    [base, base + self.pick(0, top) * (not self.symmetric)],
                )
            )
            self.numbers[name] = (made, base, top)

    def place(self, params: list[IntExpr]) -> IntExpr:
        """An index: a parameter, a constant, or computed (and then perhaps outside the array)."""
        if self.symmetric and params:
            return params[-1]
        if params and self.pick(0, 2):
            return params[0] + self.one([0, 0, 0, 1, -1])
        scalars = [Number(v, b, t) for v, b, t in self.numbers.values() if isinstance(v, IntExpr)]
        if scalars and self.pick(0, 2):
            return scalars[0].small - self.pick(0, 1)
        return params[0] * 0 + self.pick(0, MEMBERS - 1) if params else integer(self.pick(0, 1))

    def number(self, params: list[IntExpr]) -> Number | None:
        if not self.numbers:
            return None
        made, base, top = self.one(list(self.numbers.values()))
        if isinstance(made, IntArray):
            return Number(made[self.place(params)], base, top)
        return Number(made, base, top)

    def integer(self, params: list[IntExpr], depth: int = 2) -> IntExpr:
        kind = self.pick(0, 10) if depth else self.pick(0, 2)
        found = self.number(params)
        if kind <= 1 and found:
            return found.small
        if kind <= 2:
            return (
                params[0]
                if params and kind == 2 and not self.symmetric
                else integer(self.pick(-1, 3))
            )
        if kind == 3:
            return count(self.index, lambda i: self.truth([i], depth - 1))
        a, b = self.integer(params, depth - 1), self.integer(params, depth - 1)
        if kind == 4:
            return ite(self.truth(params, depth - 1), a, b)
        if kind >= 9:
            by = self.pick(1, 3)
            return a // by if kind == 9 else a % by
        return [a + b, a - b, minimum(a, b), maximum(a * 2, b)][kind - 5]

    def truth(self, params: list[IntExpr], depth: int = 2) -> BoolExpr:
        kind = self.pick(0, 7) if depth else 0
        if kind == 0 and self.truths:
            made = self.one(list(self.truths.values()))
            return made[self.place(params)] if isinstance(made, BoolArray) else made
        if kind <= 3:
            number, bound = self.integer(params, depth and depth - 1), self.pick(-1, 3)
            return [number == bound, number <= bound, number > bound][self.pick(0, 2)]
        if kind == 4:
            return ~self.truth(params, depth - 1)
        if kind == 5:
            return self.one([forall, exists])(self.index, lambda i: self.truth([i], depth - 1))
        a, b = self.truth(params, depth - 1), self.truth(params, depth - 1)
        return self.one([a & b, a | b, implies(a, b)]) if kind == 6 else a == b

    def update(self, do: Step, params: list[IntExpr], safe: bool) -> None:
        when = True if self.pick(0, 2) else self.truth(params, 1)
        if self.truths and self.pick(0, 2) == 0:
            made = self.one(list(self.truths.values()))
            target = made[self.written(params, safe)] if isinstance(made, BoolArray) else made
            do.set(target, self.truth(params, 1), when)
            return
        cells, base, top = self.one(list(self.numbers.values()))
        cell = cells[self.written(params, safe)] if isinstance(cells, IntArray) else cells
        kind = self.pick(0, 4)
        if kind == 0:
            value = self.integer(params)
        else:
            value = (cell - base) + (self.pick(1, 2) if kind < 4 else -1)
            value = ite(value > top, 0, value) if safe and kind > 1 else value
        # Without the bound the value may leave its range: an error in the model, to be told.
        do.set(cell, (minimum(maximum(value, 0), top) if safe else value) + base, when)

    def written(self, params: list[IntExpr], safe: bool) -> IntExpr:
        place = self.place(params)
        return minimum(maximum(place, 0), MEMBERS - 1) if safe else place

    def action(self, name: str, safe: bool, fair: str = "") -> None:
        def fill(do: Step, params: list[IntExpr]) -> None:
            do.when(*(self.truth(params) for _ in range(max(0, self.pick(-3, 2)))))
            for _ in range(self.pick(1, 3)):
                self.update(do, params, safe)

        def plain(do: Step) -> None:
            fill(do, [])

        def each(do: Step, p: IntExpr) -> None:
            fill(do, [p])

        if self.symmetric or self.pick(0, 1):
            self.model.add_action(name, each, {"p": self.index}, fair=fair)
        else:
            self.model.add_action(name, plain, {}, fair=fair)


@st.composite
def models(draw: st.DrawFn, symmetric: bool = False) -> Model:
    """A model of a few hundred states at most; perhaps one whose updates leave their ranges.

    Its index may be declared ``symmetric``, which most of its expressions then keep.
    """
    dice = random.Random(draw(SEEDS))
    spread = dice.choice(SPREADS)
    parts = Parts(dice, spread, symmetric)
    safe = spread > 0 or parts.pick(0, 1) > 0
    for n in range(parts.pick(2, 4)):
        parts.action(f"act{n}", safe)
    m = parts.model

    def claim() -> BoolExpr:
        return forall(parts.index, lambda i: parts.truth([i])) if symmetric else parts.truth([])

    if parts.pick(0, 3) == 0:
        m.initially(claim())
    if parts.pick(0, 3) == 0:
        m.within(claim(), because="random")
    m.always("bounded", claim(), because="random")
    m.always("other", implies(claim(), claim()), because="random")
    m.sometimes("met", claim(), because="random")
    if parts.pick(0, 1):
        m.done(claim())
    return m
