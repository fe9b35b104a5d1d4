"""Symmetry changes how many states are looked at, and nothing that is said of them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from nbio.verify import (
    Bounds,
    IntExpr,
    Model,
    ModelError,
    Step,
    Verdict,
    check,
    count,
    forall,
    render,
)
from nbio.verify.engine import Search
from nbio.verify.symmetry import Renaming
from tests.verify.small_models import models


def lock(users: int = 3, *, favour: str = "") -> Model:
    """A lock whose holder is a variable; ``favour`` breaks the symmetry somewhere."""
    m = Model("lock", constants={"users": users})
    user = m.index("user", users, symmetric=True)
    wants = m.booleans("wants", user, init=[favour == "init", *[False] * (users - 1)])
    holder = m.integers("holder", m.index("one", 1), -1, users - 1, init=-1, holds=user)
    served = m.integers("served", user, 0, 2)
    friends = m.booleans("friends", (user, user))

    @m.action(u=user, actor="user {u}")
    def ask(do: Step, u: IntExpr) -> None:
        do.when(~wants[u], holder[0] != u, served[u] < 2)
        do.set(wants[u], True)

    @m.action(u=user, actor="user {u}")
    def take(do: Step, u: IntExpr) -> None:
        do.when(wants[u], holder[0] == -1)
        if favour == "guard":
            do.when(forall(user, lambda v: ~wants[v] | (v >= u)))
        do.set(wants[u], False)
        do.set(holder[0], 0 if favour == "update" else u)

    @m.action(u=user, v=user, actor="user {u}")
    def thank(do: Step, u: IntExpr, v: IntExpr) -> None:
        do.when(holder[0] == u, u != v, served[u] < 2)
        do.set(friends[u, v], True)
        do.set(served[u], served[u] + 1)
        do.set(holder[0], -1)

    @m.action(actor="lock")
    def lapse(do: Step) -> None:
        do.when(holder[0] >= 0, served[holder[0]] < 2)
        do.set(served[holder[0]], served[holder[0]] + 1)
        do.set(holder[0], -1)

    said = (served[0] < 2) if favour == "property" else count(user, lambda u: served[u] > 1) < 2
    m.always("modest", said, because="to be judged")
    m.sometimes("all", forall(user, lambda u: served[u] > 0), because="everybody has a turn")
    m.done(True)
    return m


def test_the_verdicts_and_depths_are_those_of_all_states() -> None:
    reduced, whole = check(lock()), check(lock(), symmetry=False)
    assert reduced.found.symmetry is not None
    assert whole.found.symmetry is None
    assert "orbits under the symmetry of user (6 permutations)" in render(reduced)
    assert [(r.name, r.verdict, r.depth) for r in reduced.results] == [
        (r.name, r.verdict, r.depth) for r in whole.results
    ]
    assert reduced.result("modest").verdict is Verdict.REFUTED
    assert len(reduced.result("modest").trace) == len(whole.result("modest").trace)
    assert reduced.found.states == orbits(lock())
    assert reduced.found.states < whole.found.states / 4


def orbits(model: Model) -> int:
    """How many orbits the reachable states have, from the unreduced search and by the group."""
    found = Search(model, symmetry=False).run()
    reduced = Search(model)
    assert reduced.result.symmetry is not None
    states = {
        found.state(tuple(int(w) for w in found.visited.rows(n, n + 1)[:, 0]))
        for n in range(found.states)
    }
    swap = [Renaming(found.program, {"user": p}) for p in ((1, 0, 2), (1, 2, 0))]
    many = 0
    while states:
        many += 1
        todo = [states.pop()]
        while todo:
            state = todo.pop()
            for renaming in swap:
                other = renaming.state(state)
                if other in states:
                    states.remove(other)
                    todo.append(other)
    return many


@pytest.mark.parametrize(
    ("favour", "said"),
    [
        ("init", "the initial states tell members of user apart (user 0 as 1, user 1 as 0)"),
        ("guard", "action take(0) tells members of user apart"),
        ("update", "action take(0) tells members of user apart"),
        ("property", "always modest tells members of user apart"),
    ],
)
def test_what_breaks_the_symmetry_is_named_and_nothing_is_reduced(favour: str, said: str) -> None:
    report = check(lock(favour=favour))
    assert report.found.symmetry is None
    assert report.found.states == check(lock(favour=favour), symmetry=False).found.states
    assert any(said in w for w in report.warnings), report.warnings


def test_a_large_group_is_refused() -> None:
    report = check(lock(users=6), Bounds(states=100))
    assert "user (6) has 720 permutations, more than 120" in report.warnings[1]


def test_leads_to_runs_unreduced() -> None:
    m = lock()
    m.leads_to("served", True, True, because="it is so")
    report = check(m)
    assert report.found.symmetry is None
    assert "leads_to is judged on the whole graph" in report.warnings[0]
    assert report.result("served").verdict is Verdict.CONFIRMED


def test_random_models_are_judged_alike() -> None:
    reduced = 0

    @settings(max_examples=300, deadline=None, derandomize=True, database=None)
    @given(models(symmetric=True))
    def agree(model: Model) -> None:
        nonlocal reduced
        try:
            whole = check(model, symmetry=False)
        except ModelError:
            with pytest.raises(ModelError):
                check(model)
            return
        report = check(model)
        reduced += report.found.states < whole.found.states
        assert [(r.name, r.verdict, r.depth) for r in report.results] == [
            (r.name, r.verdict, r.depth) for r in whole.results
        ]

    agree()
    assert reduced > 5
