"""The invariant is inductive for any size; a broken lifecycle breaks it, by name."""

import pytest

from model.lifecycle import SLOT
from nbio.verify.engine import Verdict
from proofs import induction, mutants
from proofs.endless import Reader, z3
from proofs.induction import Induction, part
from proofs.invariants import Invariant
from proofs.unbounded import EndlessWorld
from proofs.witnesses import Small, Stepping

NUMBER = {m.name: n for n, m in enumerate(mutants.mutants())}


@pytest.mark.parametrize("name", ["start", "viewed"])
def test_each_obligation_is_proved(name: str) -> None:
    found, _ = part(name)
    assert len(found) > 35
    assert [o.name for o in found if o.verdict is not Verdict.CONFIRMED] == []


def test_no_premise_is_empty() -> None:
    assert induction.premises_met() == []


@pytest.mark.parametrize(
    ("mutant", "obligation"),
    [
        ("close STALE dropped", "close/P6"),
        ("close DEFERRED dropped", "close/"),
        ("lease STALE dropped", "read/P6"),
        ("lease BUSY dropped", "read/"),
        ("acquire NOT_FREE dropped", "grab/P5"),
        ("close RECYCLED forgets generation", "close/valid_is_owner"),
    ],
)
def test_a_broken_lifecycle_breaks_a_named_obligation(mutant: str, obligation: str) -> None:
    name, by = induction.broken_by(NUMBER[mutant])
    assert name == mutant
    assert by.startswith(obligation)


def test_a_change_that_changes_nothing_breaks_nothing() -> None:
    assert induction.broken_by(NUMBER["close RECYCLED forgets leased"])[1] == ""


def test_the_induction_itself_fails_for_a_broken_lifecycle() -> None:
    """Not only its small shadow."""
    broken = Induction()
    event = SLOT.events["close"].without_rule(0)
    broken.world = EndlessWorld(SLOT.replaced(event))
    broken.clauses = Invariant(broken.world).clauses
    close = next(a for a in broken.world.m.actions if a.name == "close")
    failed = [o.name for o in broken.step(close) if o.verdict is not Verdict.CONFIRMED]
    assert "close/P6" in failed


def test_a_clause_less_is_noticed() -> None:
    world = EndlessWorld()
    clauses = Invariant(world).clauses
    small = Small(world, clauses)
    close = next(a for a in world.m.actions if a.name == "close")
    assert Stepping(small, close).breaks() == ""
    assert Stepping(small, close).breaks(without="valid_is_owner") == "P6"


def test_quantifiers_mean_what_they_say() -> None:
    """Instances of a quantifier follow from it: with the domain written out both agree."""
    world = EndlessWorld()
    numbers = {"slot": [0, 1], "request": [0, 1], "party": [0, 1], "block": [0, 1]}
    full = Reader(world, {sort: [z3.IntVal(n) for n in ns] for sort, ns in numbers.items()})
    settled = full.term(world.settled(), {}, full.before)
    solver = z3.Solver()
    solver.add(settled, full.before.read("kept", z3.IntVal(1)) == 2)
    assert solver.check() == z3.unsat
