"""What a mistake in a model says, and what a property that says nothing."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from operator import setitem

import pytest

from nbio.verify import (
    BoolExpr,
    IntArray,
    IntExpr,
    Model,
    ModelError,
    Step,
    Verdict,
    check,
    forall,
    implies,
    ite,
)
from nbio.verify.expr import parameter

# ------------------------------------------------------------------------ what says nothing


def vacuous(claim: Callable[[Model, IntExpr], None]) -> tuple[str, ...]:
    m = Model("vacuous")
    n = m.integer("n", 0, 3)

    @m.action()
    def up(do: Step) -> None:
        do.when(n < 2)
        do.set(n, n + 1)

    m.done(n == 2)
    claim(m, n)
    return check(m).warnings


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        (lambda m, n: m.always("p", 1 + 1 == 2, because="x"), "always p is about no variable"),
        (
            lambda m, n: m.always("p", implies(n == 3, n == 0), because="x"),
            "always p says nothing: its premise is met in no reachable state",
        ),
        (
            lambda m, n: m.always(
                "p", forall(m.index("i", 2), lambda i: implies(n == i + 3, n == 0)), because="x"
            ),
            "always p says nothing",
        ),
        (lambda m, n: m.leads_to("p", n == 3, n == 2, because="x"), "leads_to p says nothing"),
        (
            lambda m, n: m.always("p", n != 9, because="x"),
            "compares n with 9, but it is always 0..3",
        ),
        (lambda m, n: m.always("p", implies(n == 2, n >= 1), because="x"), ""),
        (lambda m, n: m.leads_to("p", n == 2, n >= 1, because="x"), ""),
    ],
)
def test_a_property_over_nothing_is_a_warning_that_names_the_place(
    claim: Callable[[Model, IntExpr], None], said: str
) -> None:
    warnings = vacuous(claim)
    assert len(warnings) == bool(said)
    if said:
        assert said in warnings[0]
        assert warnings[0].startswith(__file__)


@pytest.mark.parametrize(
    ("declare", "said"),
    [
        (lambda m: m.integer("n", 3, 2), "n has the empty range 3..2"),
        (lambda m: m.integer("n", 0, 2, 7), "n starts as 7, outside its range 0..2"),
        (lambda m: m.integers("a", m.index("i", 2), 0, 1, [0]), "a has 2 cells, got 1 start"),
        (lambda m: m.subsets(m.index("i", 20)), "i has 2^20 subsets"),
        (lambda m: m.index("i", 0), "index i needs at least one member, got 0"),
        (lambda m: m.within(True, because=""), "within needs a reason"),
        (lambda m: m.leads_to("p", True, True, because=""), "property p needs a reason"),
        (lambda m: (m.boolean("b"), m.boolean("b")), "variable b is declared twice"),
        (lambda m: m.boolean("a[0]"), "a variable can't be called 'a[0]'"),
        (lambda m: m.integer("n", 0, 1 << 62), "at most 2^62 values fit"),
        (lambda m: m.set("s", m.index("i", 2), [2]), "2 is no member of i: 0..1"),
        (lambda m: m.always("deadlock", True, because="x"), "can't be called 'deadlock'"),
        (lambda m: m.always("sometimes x", True, because="x"), "can't be called 'sometimes x'"),
    ],
)
def test_a_mistaken_declaration_names_the_line(
    declare: Callable[[Model], object], said: str
) -> None:
    with pytest.raises(ModelError) as error:
        declare(Model("m"))
    assert said in str(error.value)
    assert str(error.value).startswith(__file__)


def stranger() -> IntExpr:
    return Model("other").integer("strange", 0, 3)


def mistaken(say: Callable[[Model, IntArray, BoolExpr], object]) -> None:
    m = Model("m")
    at, flag = m.integers("at", m.index("p", 2), 0, 3), m.boolean("flag")
    say(m, at, flag)
    check(m)


@pytest.mark.parametrize(
    ("say", "said"),
    [
        (
            lambda m, at, flag: m.always("x", stranger() == 0, because="y"),
            "always x: unknown variable strange: m has no such",
        ),
        (
            lambda m, at, flag: m.add_action("go", lambda do: do.when(stranger() == 0), {}),
            "action go: unknown variable strange",
        ),
        (
            lambda m, at, flag: m.add_action("go", lambda do: do.set(at[0], stranger()), {}),
            "action go: unknown variable strange",
        ),
        (
            lambda m, at, flag: m.always("x", at[parameter("q", 0, 1)] == 0, because="y"),
            "always x uses q, which is another action's parameter",
        ),
        (lambda m, at, flag: m.always("x", at[0] == 0 & flag, because="y"), "write (a == b) & c"),
        (lambda m, at, flag: m.always("x", at == 0, because="y"), "at is an array: say which cell"),
        (
            lambda m, at, flag: m.add_action("go", lambda do: setitem(at, 0, 1), {}),
            "at[i] = ... changes no state: do.set(at[i], ...)",
        ),
        (
            lambda m, at, flag: m.add_action("go", lambda do: None, {}, say="{q} goes"),
            "action go says '{q} goes', but it can only name no parameter",
        ),
        (lambda m, at, flag: m.action(mistaken), "write @m.action(), with brackets"),
        (lambda m, at, flag: max(at[0], at[1]), "minimum(...), maximum(...)"),
    ],
)
def test_a_mistaken_expression_names_the_line(
    say: Callable[[Model, IntArray, BoolExpr], object], said: str
) -> None:
    with pytest.raises(ModelError) as error:
        mistaken(say)
    assert said in str(error.value)
    assert str(error.value).startswith(__file__)


def test_actions_of_a_loop_that_never_happen_are_one_warning() -> None:
    m = Model("m")
    n = m.integer("n", 0, 1)
    for k in range(5):
        m.add_action(f"at {k}", lambda do, k=k: do.when(n == k), {})
    (warning,) = check(m).warnings
    assert warning.startswith(__file__)
    assert warning.endswith(
        "actions at 1, at 2, at 3 and 1 more never happen in any reachable state"
    )


class At(IntEnum):
    """Where a party stands."""

    LOOK = 0
    PUT = 1


class Other(IntEnum):
    """An enum of something else: ``LOOK`` is of both, by another number."""

    SEEN = 0
    LOOK = 1
    LOST = 7


@pytest.mark.parametrize(
    ("say", "said"),
    [
        (
            lambda m, at: m.always("x", at[0] != Other.LOST, because="y"),
            "always x: at[0] is a At (LOOK, PUT), and LOST is none of them",
        ),
        (
            lambda m, at: m.sometimes("x", at[0] == Other.LOOK, because="y"),
            "sometimes x: at[0] is a At (LOOK, PUT), and LOOK is none of them",
        ),
        (
            lambda m, at: m.leads_to("x", True, at[0] == Other.SEEN, because="y"),
            "leads_to x: at[0] is a At (LOOK, PUT), and SEEN is none of them",
        ),
        (
            lambda m, at: m.add_action("go", lambda do: do.when(at[0] < Other.LOST), {}),
            "action go: at[0] is a At (LOOK, PUT), and LOST is none of them",
        ),
        (
            lambda m, at: m.add_action(
                "go", lambda do: do.set(at[0], ite(at[0] == At.PUT, At.LOOK, Other.SEEN)), {}
            ),
            "action go: at is a At (LOOK, PUT), and SEEN is none of them",
        ),
    ],
)
def test_a_member_of_another_enum_is_an_error(
    say: Callable[[Model, IntArray], object], said: str
) -> None:
    m = Model("m")
    say(m, m.enums("at", m.index("p", 2), At, At.LOOK))
    with pytest.raises(ModelError) as error:
        check(m)
    assert said in str(error.value)
    assert str(error.value).startswith(__file__)


def test_the_same_member_and_a_bare_number_are_none() -> None:
    m = Model("m")
    at = m.enum("at", At, At.LOOK)

    @m.action()
    def turn(do: Step) -> None:
        do.set(at, ite(at == At.LOOK, At.PUT, At.LOOK))

    m.sometimes("x", at == 1, because="a number is not of another enum")
    assert check(m).verdict is Verdict.CONFIRMED


# ------------------------------------------------------------------ indices out of their rows


def table(change: Callable[[Step, IntArray, IntExpr], None]) -> Model:
    """Two rows of three; ``n`` goes up to 3, which is none of a row's places."""
    m = Model("table")
    row, place = m.index("row", 2), m.index("place", 3)
    cells, n = m.integers("cells", (row, place), 0, 5, [1, 2, 3, 4, 5, 5]), m.integer("n", 0, 3)

    @m.action()
    def go(do: Step) -> None:
        change(do, cells, n)
        do.set(n, n + 1, when=n < 3)

    m.always("the second row", cells[1, 0] == 4, because="nobody writes to it")
    m.always("read", (n < 3) | (cells[0, n] == 1), because="what is outside reads the first cell")
    return m


def test_a_write_out_of_its_row_is_an_error_and_not_a_write_to_the_next() -> None:
    with pytest.raises(ModelError, match=r"go writes an array outside its index range .* n=3\)"):
        check(table(lambda do, cells, n: do.set(cells[0, n], 0)))


def test_a_guarded_one_is_none_and_reads_never_are() -> None:
    report = check(table(lambda do, cells, n: do.set(cells[0, n], cells[0, n], when=n < 3)))
    assert report.verdict is Verdict.CONFIRMED
    assert check(table(lambda do, cells, n: do.when(cells[n, 0] > 0))).found.states == 4


def test_a_full_queue_among_several_does_not_run_over_into_the_next() -> None:
    m = Model("m")
    who = m.index("who", 2)
    lines = m.queues("lines", who, of=who, most=2)

    @m.action(p=who)
    def come(do: Step, p: IntExpr) -> None:
        do.push(lines[0], p)

    m.always("nobody there", lines[1].is_empty, because="nobody comes to it")
    with pytest.raises(ModelError, match=r"come\(0\) writes an array outside its index range"):
        check(m)


def test_cells_of_one_name_are_told() -> None:
    m = Model("m")
    left, right = m.index("left", ["a,b", "c"]), m.index("right", ["d", "b,d"])
    m.booleans("x", (left, right))
    m.booleans("y", (left, m.index("more", ["a", "b"])))
    clash = m.index("clash", ["a", "a,b"])
    m.booleans("z", (clash, m.index("twin", ["b,c", "c"])))
    with pytest.raises(ModelError, match=r"z and z both have a cell called z\[a,b,c\]"):
        check(m)


def test_two_index_types_of_one_name_are_refused() -> None:
    m = Model("m")
    m.booleans("a", m.index("p", 2))
    m.booleans("b", m.index("p", 3, symmetric=True))
    with pytest.raises(ModelError, match="two index types are called p, of 2 and of 3 members"):
        check(m)


def test_numbers_beyond_64_bits_name_the_expression() -> None:
    m = Model("m")
    n = m.integer("n", 0, 3)
    m.always("x", n * (1 << 70) >= 0, because="y")
    with pytest.raises(ModelError, match=r"n \* 1180591620717411303424.*more than 64 bits hold"):
        check(m)
