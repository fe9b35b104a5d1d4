"""Sizes of state spaces that others have published, and orbits counted a second way."""

from __future__ import annotations

from itertools import permutations

import pytest

from nbio.verify import Program, Verdict, check
from nbio.verify.ints import Interpreter
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
