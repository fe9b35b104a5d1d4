"""Every reader of the syntax tree gives the same value: ints, NumPy, Z3, emitted Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import z3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbio.verify import columns
from nbio.verify.columns import Columns
from nbio.verify.expr import (
    BoolExpr,
    Expr,
    IntExpr,
    ModelError,
    all_of,
    any_of,
    bool_var,
    implies,
    int_var,
    ite,
    maximum,
    minimum,
)
from nbio.verify.ints import evaluate
from nbio.verify.packing import Packing
from nbio.verify.program import Program
from nbio.verify.smt import to_z3
from nbio.verify.source import to_source
from nbio.verify.spec import Model

RANGES = {"a": (0, 3), "b": (-5, 5), "c": (0, 200), "d": (-40_000, 70_000)}
TRUTHS = ("p", "q", "r")

integers: st.SearchStrategy[IntExpr] = st.deferred(
    lambda: st.one_of(
        st.integers(-300, 300).map(lambda n: int_var("a", 0, 3) * 0 + n),
        st.sampled_from([int_var(n, lo, hi) for n, (lo, hi) in RANGES.items()]),
        st.tuples(integers, integers).map(lambda t: t[0] + t[1]),
        st.tuples(integers, integers).map(lambda t: t[0] - t[1]),
        st.tuples(st.sampled_from([int_var("a", 0, 3), int_var("b", -5, 5)]), integers).map(
            lambda t: t[0] * t[1]
        ),
        st.tuples(integers, st.integers(1, 9)).map(lambda t: t[0] // t[1]),
        st.tuples(integers, st.integers(1, 9)).map(lambda t: t[0] % t[1]),
        st.tuples(integers, integers).map(lambda t: minimum(*t)),
        st.tuples(integers, integers).map(lambda t: maximum(*t)),
        st.tuples(booleans, integers, integers).map(lambda t: ite(t[0], t[1], t[2])),
    )
)
booleans: st.SearchStrategy[BoolExpr] = st.deferred(
    lambda: st.one_of(
        st.sampled_from([bool_var(n) for n in TRUTHS]),
        st.tuples(integers, integers).map(lambda t: t[0] == t[1]),
        st.tuples(integers, integers).map(lambda t: t[0] != t[1]),
        st.tuples(integers, integers).map(lambda t: t[0] < t[1]),
        st.tuples(integers, integers).map(lambda t: t[0] >= t[1]),
        st.lists(booleans, min_size=1, max_size=3).map(lambda ps: all_of(*ps)),
        st.lists(booleans, min_size=1, max_size=3).map(lambda ps: any_of(*ps)),
        st.tuples(booleans, booleans).map(lambda t: implies(*t)),
        st.tuples(booleans, booleans).map(lambda t: t[0] == t[1]),
        booleans.map(lambda p: ~p),
        st.tuples(booleans, booleans, booleans).map(lambda t: ite(t[0], t[1], t[2])),
    )
)
states = st.fixed_dictionaries(
    {n: st.integers(lo, hi) for n, (lo, hi) in RANGES.items()}
    | {n: st.integers(0, 1) for n in TRUTHS}
)


def everything() -> Model:
    m = Model("everything")
    for name, (lo, hi) in RANGES.items():
        m.integer(name, lo, hi, init=lo)
    for name in TRUTHS:
        m.boolean(name)
    return m


PROGRAM = Program(everything())
PACKING = Packing(PROGRAM.cells)
NAMES = [c.name for c in PROGRAM.cells]


def by_columns(expr: Expr, state: dict[str, int]) -> int:
    words = PACKING.pack([tuple(state[n] for n in NAMES)] * 3)
    column = Columns(PACKING, PROGRAM.position, words).values([expr])[0]
    assert column.shape == (3,)
    assert len(set(column.tolist())) == 1
    return int(column[1])


def by_z3(expr: Expr, state: dict[str, int]) -> int:
    def leaf(node: Expr) -> z3.ExprRef:
        value = state[str(node.data[0])]
        return z3.BoolVal(bool(value)) if isinstance(node, BoolExpr) else z3.IntVal(value)

    term = z3.simplify(to_z3(expr, leaf))
    return int(z3.is_true(term)) if isinstance(expr, BoolExpr) else int(term.as_long())


def by_source(expr: Expr, state: dict[str, int]) -> int:
    names = {n: bool(v) if n in TRUTHS else v for n, v in state.items()}
    return int(eval(to_source(expr), {"min": min, "max": max}, names))


def by_ints(expr: Expr, state: dict[str, int]) -> int:
    return evaluate(expr, lambda node: state[str(node.data[0])])


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(integers, booleans), states)
def test_all_evaluators_agree(expr: Expr, state: dict[str, int]) -> None:
    want = by_ints(expr, state)
    assert by_source(expr, state) == want
    assert by_z3(expr, state) == want
    try:
        got = by_columns(expr, state)
    except OverflowError:
        assert expr.hi - expr.lo >= 0  # beyond 64 bits the columns refuse, they don't wrap
        return
    assert got == want


def test_the_agreement_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    # A seeded bug in one evaluator: `<=` computed as `<`.
    monkeypatch.setitem(columns._COMPARE, "le", np.less)
    a, b = int_var("a", 0, 3), int_var("b", -5, 5)
    expr = a <= b + 77 - 77 + (a * 0)
    state = {"a": 2, "b": 2, "c": 0, "d": 0, "p": 0, "q": 0, "r": 0}
    assert by_ints(expr, state) == 1
    assert by_columns(expr, state) == 0


def test_narrow_columns_do_not_wrap() -> None:
    a, c = int_var("a", 0, 3), int_var("c", 0, 200)
    low = dict.fromkeys(NAMES, 0)
    assert by_columns(a - 1, low) == -1
    assert by_columns(c + c, low | {"c": 200}) == 400


REFUSED: dict[str, Callable[[Any, Any], object]] = {
    "if": lambda x, y: bool(x == y),
    "and": lambda x, y: (x == 1) and (y == 1),
    "not": lambda x, y: not (x < y),
    "chained": lambda x, y: 0 < x < 3,
    "in": lambda x, y: x in y,
    "len": lambda x, y: len(x),
    "iteration": lambda x, y: list(x),
    "key": lambda x, y: {x: 1},
    "set": lambda x, y: {x},
}


@pytest.mark.parametrize("use", REFUSED)
def test_a_node_refuses_to_be_a_value_and_names_the_line(use: str) -> None:
    x, y = int_var("x", 0, 3), int_var("y", 0, 3)
    with pytest.raises(ModelError, match=r"test_evaluators\.py:\d+: "):
        REFUSED[use](x, y)


def test_interning_makes_equal_trees_one() -> None:
    x: IntExpr = int_var("x", 0, 3)
    assert (x + 1) is (x + 1)
    assert (x + 1) is not (x + 2)
