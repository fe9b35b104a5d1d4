"""`leads_to`: verdicts against brute force, lassos against a second look."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbio.verify import (
    BoolArray,
    BoolExpr,
    IntExpr,
    Model,
    ModelError,
    Step,
    any_of,
    check,
    ite,
    render,
)
from nbio.verify.engine import Bounds, Verdict
from nbio.verify.expr import integer


@dataclass(frozen=True)
class Machine:
    """Places 0..n-1; each action leads from some places to others; premise and goal are sets."""

    places: int
    moves: tuple[tuple[str, tuple[int | None, ...]], ...]
    premise: frozenset[int]
    goal: frozenset[int]
    together: tuple[tuple[str, tuple[int, ...]], ...] = ()

    def model(self) -> Model:
        m = Model("random machine")
        at = m.integer("at", 0, self.places - 1)
        for number, (fair, to) in enumerate(self.moves):
            self._action(m, at, f"move{number}", fair, to)
        for kind, numbers in self.together:
            m.fair(kind, *(f"move{n}" for n in numbers))
        m.leads_to("live", within(at, self.premise), within(at, self.goal), "to be judged")
        m.done(True)
        return m

    @staticmethod
    def _action(m: Model, at: IntExpr, name: str, fair: str, to: Sequence[int | None]) -> None:
        def body(do: Step) -> None:
            do.when(within(at, frozenset(n for n, t in enumerate(to) if t is not None)))
            target: IntExpr = integer(0)
            for place, goes in enumerate(to):
                target = ite(at == place, goes or 0, target)
            do.set(at, target)

        m.add_action(name, body, {}, fair=fair)

    def edges(self) -> Iterator[tuple[int, int, int]]:
        for number, (_, to) in enumerate(self.moves):
            for place, goes in enumerate(to):
                if goes is not None and goes != place:
                    yield number, place, goes

    def reachable(self, begin: set[int], inside: set[int]) -> set[int]:
        seen = begin & inside
        while True:
            more = {b for _, a, b in self.edges() if a in seen and b in inside} - seen
            if not more:
                return seen
            seen |= more

    def violated(self) -> bool:
        """By brute force: some set of places, round which a fair run can go for ever."""
        everywhere = set(range(self.places))
        reached = self.reachable({0}, everywhere)
        away = everywhere - self.goal
        there = self.reachable(reached & self.premise & away, away)
        return any(
            self.connected(set(part)) and all(self.content(set(part), *f) for f in self.fair())
            for size in range(1, len(there) + 1)
            for part in combinations(sorted(there), size)
        )

    def fair(self) -> list[tuple[str, tuple[int, ...]]]:
        """What is fair taken as one: the kind, and which moves."""
        alone = [(fair, (n,)) for n, (fair, _) in enumerate(self.moves) if fair]
        return [*alone, *self.together]

    def connected(self, part: set[int]) -> bool:
        return all(self.reachable({place}, part) == part for place in part)

    def content(self, part: set[int], kind: str, numbers: tuple[int, ...]) -> bool:
        """Going round all of ``part`` for ever is fair to the moves."""
        out = {(a, b) for n, a, b in self.edges() if n in numbers and a in part}
        if any(b in part for _, b in out):
            return True
        return not out if kind == "strong" else {a for a, _ in out} != part


def within(at: IntExpr, places: frozenset[int]) -> BoolExpr:
    return any_of(*(at == place for place in sorted(places)))


@st.composite
def machines(draw: st.DrawFn) -> Machine:
    places = draw(st.integers(2, 6))
    place = st.integers(0, places - 1)
    to = st.tuples(*[st.none() | place] * places)
    moves = draw(st.lists(st.tuples(st.sampled_from(["", "weak", "strong"]), to), max_size=4))
    sets = st.frozensets(place, max_size=3)
    groups: list[tuple[str, tuple[int, ...]]] = []
    if len(moves) > 1 and draw(st.booleans()):
        numbers = draw(st.lists(st.integers(0, len(moves) - 1), min_size=2, unique=True))
        groups.append((draw(st.sampled_from(["weak", "strong"])), tuple(numbers)))
    return Machine(places, tuple(moves), draw(sets), draw(sets), tuple(groups))


@settings(max_examples=500, deadline=None, derandomize=True)
@given(machines())
def test_the_verdict_is_that_of_brute_force(machine: Machine) -> None:
    result = check(machine.model()).result("live")
    expected = Verdict.REFUTED if machine.violated() else Verdict.CONFIRMED
    assert result.verdict is expected
    if expected is Verdict.REFUTED:
        assert result.lasso is not None
        check_lasso(machine, [step.state[0] for step in result.trace], result.lasso)


def check_lasso(machine: Machine, run: list[int], start: int) -> None:
    """A genuine fair run: from the start, by real steps, past the premise, never to the goal."""
    steps = {(a, b) for _, a, b in machine.edges()}
    assert run[0] == 0
    assert all(pair in steps for pair in pairwise(run))
    cycle = set(run[start:])
    assert run[start] == run[-1]
    after = max((i for i, place in enumerate(run) if place in machine.goal), default=-1)
    assert after < start
    assert any(place in machine.premise for place in run[after + 1 :])
    turns = set(pairwise(run[start:]))
    for kind, numbers in machine.fair():
        out = {(a, b) for n, a, b in machine.edges() if n in numbers and a in cycle}
        enabled = {a for a, _ in out}
        assert out & turns or not (enabled if kind == "strong" else enabled == cycle)


def lock(fair: str) -> Model:
    """Two processes want a lock that is handed to whoever comes."""
    m = Model("lock")
    who = m.index("who", 2)
    wants, has = m.booleans("wants", who), m.booleans("has", who)

    @m.action(p=who, actor="process {p}", say="process {p}: wants the lock")
    def want(do: Step, p: IntExpr) -> None:
        do.when(~wants[p], ~has[p])
        do.set(wants[p], True)

    @m.action(p=who, actor="process {p}", say="process {p}: takes it", fair=fair)
    def take(do: Step, p: IntExpr) -> None:
        do.when(wants[p], ~has[0], ~has[1])
        do.set(wants[p], False)
        do.set(has[p], True)

    @m.action(p=who, actor="process {p}", say="process {p}: gives it back", fair="weak")
    def give(do: Step, p: IntExpr) -> None:
        do.when(has[p])
        do.set(has[p], False)

    m.leads_to("served", wants[0], has[0], "whoever wants the lock gets it")
    return m


def test_a_lock_starves_under_weak_fairness_and_the_story_says_how() -> None:
    report = check(lock("weak"))
    result = report.result("served")
    assert result.verdict is Verdict.REFUTED
    assert result.lasso is not None
    assert "and so on for ever: after " in render(report)
    assert "process 1" in render(report)


def test_strong_fairness_serves_everybody() -> None:
    assert check(lock("strong")).result("served").verdict is Verdict.CONFIRMED


def test_without_fairness_nothing_need_happen() -> None:
    report = check(lock(""))
    assert report.result("served").verdict is Verdict.REFUTED
    assert "and there it stays, for ever" in render(report)


@pytest.mark.parametrize("bounds", [Bounds(states=2), Bounds(memory=300)])
def test_a_bound_leaves_it_unknown(bounds: Bounds) -> None:
    report = check(lock("strong"), bounds)
    assert report.result("served").verdict is Verdict.UNKNOWN
    assert report.warnings[0].startswith("stopped early: ")


def servers(fair_for: list[str] | None) -> Model:
    """A job is done by whichever server is up; each goes down and comes up, in turns."""
    m = Model("servers")
    server = m.index("server", 2)
    up, done = m.integer("up", 0, 1), m.boolean("done")

    @m.action(s=server, fair="weak", fair_for=fair_for)
    def serve(do: Step, s: IntExpr) -> None:
        do.when(up == s, ~done)
        do.set(done, True)

    @m.action()
    def change(do: Step) -> None:
        do.set(up, 1 - up)

    m.leads_to("served", ~done, done, because="one of them is always up")
    return m


def test_fairness_of_an_action_whatever_its_parameters() -> None:
    # Each server by itself is down again and again; that one of them is up never ends.
    assert check(servers(None)).result("served").verdict is Verdict.REFUTED
    assert check(servers(["s"])).result("served").verdict is Verdict.REFUTED
    assert check(servers([])).result("served").verdict is Verdict.CONFIRMED


def test_fairness_of_something_happening() -> None:
    m = lock("")
    m.leads_to("some", True, any_of(*(m_has(m, p) for p in (0, 1))), because="somebody gets it")
    assert check(m).result("some").verdict is Verdict.REFUTED
    m.fair("weak")
    assert check(m).result("some").verdict is Verdict.CONFIRMED


def m_has(m: Model, p: int) -> BoolExpr:
    return BoolArray(m.variables["has"])[p]


@pytest.mark.parametrize(
    ("say", "said"),
    [
        (lambda m: m.fair("week"), "fairness is 'weak' or 'strong', not 'week'"),
        (lambda m: m.fair("weak", "nobody"), "there is no action nobody that could be fair"),
        (
            lambda m: m.add_action("a", lambda do: None, {}, fair="weak", fair_for=["x"]),
            "action a can't be fair for each x",
        ),
    ],
)
def test_mistaken_fairness_names_the_line(say: Callable[[Model], None], said: str) -> None:
    with pytest.raises(ModelError) as error:
        say(Model("m"))
    assert said in str(error.value)
    assert str(error.value).startswith(__file__)
