"""The invariant is inductive, and enough: for any number of slots, requests, parties and blocks.

Three kinds of obligation, each with a name: ``init/CLAUSE`` (true at the start), ``ACTION/CLAUSE``
(the action keeps it), and ``ACTION/P6`` or ``state/P4`` (the properties follow: those judged at the
step that breaks them, of each action; the others of every state). Actions, tables and judges are
the checker's own (``proofs/unbounded.py``).

``python -m proofs.induction`` prints every obligation, with the clauses that its proof used.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from typing import Final

from model.lifecycle import SLOT
from nbio.verify.engine import Verdict
from nbio.verify.expr import as_bool, parameter
from nbio.verify.smt import Term
from nbio.verify.spec import Action
from proofs import mutants
from proofs.endless import SORTS, After, Before, Env, Initial, Reader, sort_of, symbols, z3
from proofs.invariants import Clause, Invariant
from proofs.ledger import Row, progress
from proofs.prover import Obligation, Premises, Terms, skolem
from proofs.unbounded import EndlessWorld
from proofs.witnesses import Small, Stepping

NOT_SHOWN: Final = (
    "progress: nothing here says that anything ever happens; what the world leaves out"
)
SIZELESS: Final = "any number of slots, requests, leftovers, blocks and generations; any marks"


def nothing() -> Terms:
    """No terms of any sort."""
    return {sort: [] for sort in set(SORTS.values())}


class Induction:
    """All obligations of the final design's world."""

    def __init__(self) -> None:
        self.world = EndlessWorld()
        self.clauses = Invariant(self.world).clauses

    def initial(self) -> Iterator[Obligation]:
        """Each clause is true at the start."""
        for clause in self.clauses:
            reader = Reader(self.world)
            terms, env = _some_of(clause)
            goal = reader.term(clause.holds, env, Initial(self.world, reader.before))
            yield ask("init", clause.name, Premises(reader, (), terms), [goal])

    def consequences(self) -> Iterator[Obligation]:
        """The invariant gives each property of states."""
        for name, holds in self.world.formulas().items():
            reader, terms, env = Reader(self.world), nothing(), dict[int, Term]()
            peeled = holds
            while peeled.op == "forall":
                bound, peeled = peeled.args[0], as_bool(peeled.args[1])
                sort = SORTS[str(bound.data[0]).split("_")[0]]
                env[bound.uid] = some = skolem(sort, len(env))
                terms[sort].append(some)
            for each in symbols(peeled):
                env[each.uid] = some = skolem(sort_of(each), len(env))
                terms[sort_of(each)].append(some)
            goal = reader.term(peeled, env, reader.before)
            yield ask("state", name, Premises(reader, self.clauses, terms), [goal])

    def step(self, action: Action) -> Iterator[Obligation]:
        """The action keeps each clause, and breaks no property."""
        reader = Reader(self.world)
        env, base = self._parameters(action)
        after = After(reader, action, env)
        guard = [reader.term(action.guard, env, reader.before), *_small_domains(action)]
        reader.met()
        for clause in self.clauses:
            terms, bound = _some_of(clause)
            was = reader.term(clause.holds, bound, reader.before)
            goal = reader.term(clause.holds, bound, after)
            if goal.eq(was):
                # The action touches nothing that the clause speaks of.
                reader.met()
                yield Obligation(action.name, clause.name, Verdict.CONFIRMED, (clause.name,))
                continue
            reader.term(action.guard, env, reader.before)
            premises = Premises(reader, self.clauses, _joined(base, terms), guard)
            yield ask(action.name, clause.name, premises, [goal])
        for prop in self.world.ground.judged:
            yield from self._blameless(action, reader, env, base, guard, prop)

    def _parameters(self, action: Action) -> tuple[Env, Terms]:
        env, base = dict[int, Term](), nothing()
        for name, index in action.params:
            symbol = z3.Int(name)
            env[parameter(name, 0, index.size - 1).uid] = symbol
            if index.name in SORTS:
                base[SORTS[index.name]].append(symbol)
            if index.name == "request":
                base["slot"].append(Before(self.world).read("handle", symbol))
        return env, base

    def _blameless(
        self,
        action: Action,
        reader: Reader,
        env: Env,
        base: Terms,
        guard: Sequence[Term],
        prop: str,
    ) -> Iterator[Obligation]:
        terms, goals = nothing(), list[Term]()
        for n, blame in enumerate(self.world.blames(action, prop)):
            here = dict(env)
            for each in symbols(blame):
                here[each.uid] = some = skolem(sort_of(each), n)
                terms[sort_of(each)].append(some)
            goals.append(z3.Not(reader.term(blame, here, reader.before)))
        if goals:
            reader.term(action.guard, env, reader.before)
            premises = Premises(reader, self.clauses, _joined(base, terms), guard)
            yield ask(action.name, prop, premises, goals)


def ask(action: str, name: str, premises: Premises, goals: Sequence[Term]) -> Obligation:
    """One obligation, decided."""
    premises.state(z3.Not(z3.And(*goals)))
    return Obligation(action, name, *premises.check())


def _some_of(clause: Clause) -> tuple[Terms, Env]:
    """Some member for each bound variable of a clause."""
    terms, env = nothing(), dict[int, Term]()
    for n, (sort, bound) in enumerate(clause.over):
        env[bound.uid] = some = skolem(sort, n)
        terms[sort].append(some)
    return terms, env


def _joined(a: Terms, b: Terms) -> Terms:
    return {sort: [*a[sort], *b[sort]] for sort in a}


def _small_domains(action: Action) -> Iterator[Term]:
    """The parameters that name no member of an endless sort: yes or no."""
    for name, index in action.params:
        if index.name not in SORTS:
            yield z3.And(z3.Int(name) >= 0, z3.Int(name) < index.size)


# --------------------------------------------------------------------------------- in processes


@cache
def induction() -> Induction:
    """One a process."""
    return Induction()


START: Final = "start"


def part(name: str) -> tuple[list[Obligation], float]:
    """The obligations of one action, or of the start and the states (a task for a process)."""
    started, whole = time.process_time(), induction()
    if name == START:
        found = [*whole.initial(), *whole.consequences()]
    else:
        found = list(whole.step(next(a for a in whole.world.m.actions if a.name == name)))
    return found, time.process_time() - started


def parts() -> list[str]:
    """What `part` can be asked, the longest first."""
    names = [a.name for a in induction().world.m.actions]
    return sorted([START, *names], key=lambda n: n not in ("feed", "drain", "view", "finalize"))


def premises_met() -> list[str]:
    """Each action that no state of the invariant allows, and each attempt that one does."""
    whole = induction()
    small, wrong = Small(whole.world, whole.clauses), list[str]()
    for action in whole.world.m.actions:
        if Stepping(small, action).can_happen() is action.never:
            wrong.append(f"{action.name} {'can' if action.never else 'never can'} happen")
    return wrong


def unneeded() -> list[str]:
    """Each clause without which every other goal still holds, at the small size."""
    whole = induction()
    small = Small(whole.world, whole.clauses)
    steps = [Stepping(small, a) for a in whole.world.m.actions]
    return [c.name for c in whole.clauses if not _is_needed(small, steps, c.name)]


def _is_needed(small: Small, steps: Iterable[Stepping], clause: str) -> bool:
    for holds in small.world.formulas().values():
        for found in small.throughout(holds, {}):
            if small.satisfiable(z3.Not(found), without=clause):
                return True
    return any(step.breaks(without=clause) for step in steps)


def broken_by(number: int) -> tuple[str, str]:
    """A mutant of the lifecycle, and the name of an obligation that it breaks ("" for none)."""
    mutant = list(mutants.mutants())[number]
    world = EndlessWorld(SLOT.replaced(mutant.event))
    small = Small(world, Invariant(world).clauses)
    for action in world.using(mutant.event.name):
        goal = Stepping(small, action).breaks()
        if goal:
            return mutant.name, f"{action.name}/{goal}"
    return mutant.name, ""


# ----------------------------------------------------------------------------------------- rows


def all_obligations() -> Iterator[Obligation]:
    """Every obligation, from two processes."""
    names = parts()
    with ProcessPoolExecutor(2) as pool:
        for done, (found, _) in enumerate(pool.map(part, names), 1):
            progress(f"obligations: {done} of {len(names)} parts")
            yield from found


def rows() -> Iterator[Row]:
    """The invariant, each property that follows, the premises, and the mutants."""
    started = time.perf_counter()
    found = list(all_obligations())
    seconds = time.perf_counter() - started
    clauses = {c.name for c in induction().clauses}
    inductive = [o for o in found if o.goal in clauses]
    yield _row(f"{len(clauses)} clauses are inductive", inductive, seconds)
    for prop in sorted({o.goal for o in found} - clauses, key=_in_reading_order):
        yield _row(f"{prop} follows", [o for o in found if o.goal == prop], 0.0)
    yield _premises()
    yield mutants_row(range(len(list(mutants.mutants()))))


def _in_reading_order(prop: str) -> tuple[bool, str, int]:
    return prop[0] != "P", prop[0], int("".join(filter(str.isdigit, prop)))


def _row(what: str, of: Sequence[Obligation], seconds: float) -> Row:
    wrong = [f"{o.verdict.name} {o.name}" for o in of if o.verdict is not Verdict.CONFIRMED]
    return Row(
        f"{what}: {len(of)} obligations",
        "induction, Z3",
        min((o.verdict for o in of), default=Verdict.UNKNOWN),
        SIZELESS,
        seconds,
        NOT_SHOWN,
        tuple(wrong),
    )


def _premises() -> Row:
    started = time.perf_counter()
    wrong = [*premises_met(), *(f"{c} is not needed" for c in unneeded())]
    return Row(
        "no premise is empty, and no clause is more than is needed",
        "Z3, on the same world made small: each action can be taken; each clause left out once",
        Verdict.REFUTED if wrong else Verdict.CONFIRMED,
        "2 slots, 2 requests, 2 blocks, 3 parties",
        time.perf_counter() - started,
        "that there is no shorter invariant",
        tuple(wrong),
    )


def mutants_row(numbers: Sequence[int]) -> Row:
    """Each of these changes of the lifecycle breaks an obligation, by name."""
    started = time.perf_counter()
    fates = []
    with ProcessPoolExecutor(2) as pool:
        for done, fate in enumerate(pool.map(broken_by, numbers), 1):
            progress(f"mutants of the lifecycle, by induction: {done} of {len(numbers)}")
            fates.append(fate)
    wrong = [
        f"{name}: {by or 'breaks nothing'}"
        for name, by in fates
        if bool(by) is (name in mutants.EQUIVALENT)
    ]
    caught = sum(bool(by) for _, by in fates)
    return Row(
        f"{caught} of {len(fates)} mutants of the lifecycle break a named obligation, "
        "the others none",
        "Z3, a state of the small world that the step leads out of the invariant",
        Verdict.REFUTED if wrong else Verdict.CONFIRMED,
        "2 slots, 2 requests, 2 blocks, 3 parties",
        time.perf_counter() - started,
        "mistakes other than these single changes",
        tuple(wrong),
    )


def main() -> None:
    """Print every obligation, and every mutant with what it breaks."""
    for found in all_obligations():
        used = ", ".join(found.core) or "the guard alone"
        print(f"{found.verdict.name:<9} {found.name}  from {used}")
    with ProcessPoolExecutor(2) as pool:
        for name, by in pool.map(broken_by, range(len(list(mutants.mutants())))):
            print(f"mutant {name}: breaks {by or 'nothing'}")


if __name__ == "__main__":
    main()
