"""Sizes of state spaces that others have published, and orbits counted a second way."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import permutations

import pytest

from nbio.verify import Model, Program, Verdict, check
from nbio.verify.ints import Interpreter
from tests.verify import published_large as large
from tests.verify import published_more as more
from tests.verify import published_small as small
from tests.verify.published import readers_writers, two_phase_commit


def test_two_phase_commit() -> None:
    found = check(two_phase_commit(3), symmetry=False).found
    assert (found.states, found.generated, found.depth) == (288, 1146, 10)
    assert check(two_phase_commit(5), symmetry=False).found.states == 8832


@pytest.mark.parametrize(("rms", "orbits"), [(3, 80), (5, 314)])
def test_two_phase_commit_under_symmetry(rms: int, orbits: int) -> None:
    report = check(two_phase_commit(rms))
    assert report.found.states == orbits
    assert report.verdict is Verdict.CONFIRMED


@pytest.mark.parametrize("rms", [2, 3, 4])
def test_orbits_counted_a_second_way(rms: int) -> None:
    assert check(two_phase_commit(rms)).found.states == orbits_by_hand(rms)


def orbits_by_hand(rms: int) -> int:
    """The orbits of all reachable states, by plain Python."""
    program = Program(two_phase_commit(rms))
    interpreter, found = Interpreter(program), set(Interpreter(program).starts())
    todo = list(found)
    while todo:
        for taken in interpreter.successors(todo.pop()):
            if taken.state not in found:
                found.add(taken.state)
                todo.append(taken.state)
    names = [c.name for c in program.cells]

    def least(state: tuple[int, ...]) -> tuple[int, ...]:
        values = dict(zip(names, state, strict=True))

        def renamed(p: tuple[int, ...]) -> tuple[int, ...]:
            return tuple(
                values[f"{n.partition('[')[0]}[{p[int(n[-2])]}]"] if "[" in n else values[n]
                for n in names
            )

        return min(map(renamed, permutations(range(rms))))

    return len(set(map(least, found)))


def test_readers_and_writers() -> None:
    report = check(readers_writers(3))
    assert report.found.states == 21_527
    assert report.verdict is Verdict.CONFIRMED


SIZES: dict[Callable[[], Model], tuple[int, int | None, int | None]] = {
    small.coffee_can: (5_150, 20_002, 0),
    small.game_of_life: (65_536, 131_072, 0),
    small.prisoners: (214, 860, 13),
    small.ring: (1_566, None, 11),
    partial(small.ring, 3): (302, None, None),
    small.quiescence: (129, 3_722, 0),
    small.allocator: (400, 1_633, 5),
    small.smokers: (6, 15, 1),
    small.hanoi: (3**5, None, 2**5 - 1),
    small.eight_puzzle: (181_440, None, 31),
    more.chang_roberts: (137, 227, 9),
    more.self_stabilising: (46_656, 248_832, 0),
    more.chandy_misra: (67, 336, 28),
    more.alternating_bit: (240, None, 9),
    more.fifo: (3_864, 9_660, 10),
    more.regular: (277_726, 1_454_776, 24),
    more.paxos: (3_921, None, 16),
    large.transaction_commit: (34, 94, 6),
    large.scheduling_allocator: (1_690, 5_854, 6),
    large.lamport_mutex: (724_274, 2_729_079, 60),
    large.paxos_commit: (1_321_761, None, 27),
}
"""Distinct states, states generated, and steps to the farthest: None where nobody published it, or
(`generated` of Paxos, Paxos Commit, EWD840) where one step of ours is several of TLC's."""


def named(made: object) -> str:
    return str(getattr(made, "__name__", "ring of three")) if callable(made) else ""


@pytest.mark.parametrize(("make", "size"), SIZES.items(), ids=named)
def test_published_sizes(
    make: Callable[[], Model], size: tuple[int, int | None, int | None]
) -> None:
    report = check(make(), symmetry=False, traces=False)
    found = report.found
    states, generated, depth = size
    assert found.states == states
    assert generated in (None, found.generated)
    assert depth in (None, found.depth)
    refuted = [r.name for r in report.results if r.verdict is not Verdict.CONFIRMED]
    assert refuted == (["apart"] if make is small.hanoi else [])


@pytest.mark.parametrize(
    ("model", "goal", "steps"),
    [
        (small.die_hard(), "not four", 6),
        (small.crossing(), "stuck", 11),
        (small.hanoi(), "apart", 31),
        (small.queens(), "none", 8),
    ],
)
def test_published_solutions(model: Model, goal: str, steps: int) -> None:
    result = check(model).result(goal)
    assert result.depth == steps
    assert len(result.trace) == steps + 1


def test_klotski_has_25955_positions_and_is_solved_in_116_steps() -> None:
    report = check(more.klotski())
    assert report.found.states == 25_955
    assert len(report.result("unsolved").trace) == 117


def test_eight_queens_can_stand_in_92_ways() -> None:
    found = check(small.queens(), traces=False).found
    assert found.levels[-1] - found.levels[-2] == 92


@pytest.mark.parametrize("make", [large.transaction_commit, large.paxos_commit, small.smokers])
def test_symmetry_is_shown_and_keeps_the_verdicts(make: Callable[[], Model]) -> None:
    whole, reduced = check(make(), symmetry=False), check(make())
    assert reduced.found.symmetry is not None
    assert reduced.found.states < whole.found.states
    assert [r.verdict for r in reduced.results] == [r.verdict for r in whole.results]
