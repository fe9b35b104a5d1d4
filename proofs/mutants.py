"""Every guard earns its place: break the lifecycle mechanically, and a named property must notice.

Mutants of ``model/lifecycle.py``'s tables: each rule dropped, each conjunct and each alternative of
a condition dropped, each write forgotten, and each changed: a flag to its opposite, an enum to
every other member, a number to one more. Each is checked in the final design's world at small
bounds. A survivor is a guard that is dead or a property that is missing, unless it is listed in
:data:`EQUIVALENT` with the invariant that makes it no mutant at all.

What this does not show: that no *other* mistake goes unnoticed.
"""

import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

from model.final import final
from model.lifecycle import SLOT
from nbio.verify.check import check
from nbio.verify.engine import Verdict
from nbio.verify.expr import BoolExpr, Expr, all_of, any_of, as_bool, as_int, integer
from nbio.verify.machine import Event, Rule
from proofs.ledger import Row, progress

BOUNDS = ({"slots": 1, "requests": 1}, {"slots": 1, "requests": 2})
"""Tried in turn: most mutants die in the smallest world."""

GROWS = "old handles go stale by any growth; by how much is nothing to anybody"
EQUIVALENT = {
    "unlease RECYCLED forgets waiting": "a slot with a lease out has no waiter (E1)",
    "unlease RECYCLED forgets paused": "the close that led to CLOSING cleared it (L3s)",
    "close RECYCLED forgets leased": "the rule above it took every case with a lease out",
    "finalize RECYCLED forgets leased": "a handle nobody can reach has no lease out (E1)",
    "finalize RECYCLED forgets waiting": "a handle nobody can reach has no waiter (E1)",
    "finalize RECYCLED forgets generation": "a handle nobody can reach can't be presented again",
    "unlease RECYCLED makes generation generation + 1 + 1": GROWS,
    "close RECYCLED makes generation generation + 1 + 1": GROWS,
    "release RECYCLED makes generation generation + 1 + 1": GROWS,
    "finalize RECYCLED makes generation generation + 1 + 1": GROWS,
}
"""Survivors that change no reachable behaviour, and why; all come from the one shared RECYCLE."""


@dataclass(frozen=True)
class Mutant:
    """A changed table, and what was changed."""

    name: str
    event: Event


@dataclass(frozen=True)
class Fate:
    """What became of a mutant: the properties that refute it (with steps), or none."""

    mutant: Mutant
    killers: tuple[tuple[str, int], ...]

    @property
    def acceptable(self) -> bool:
        """Killed, or known to be no mutant; a listed one that dies is a stale excuse."""
        return bool(self.killers) is not (self.mutant.name in EQUIVALENT)

    def line(self) -> str:
        """One line of the report."""
        if self.killers:
            by = ", ".join(f"{name} in {depth}" for name, depth in self.killers)
            return f"{self.mutant.name}: refuted by {by}"
        why = EQUIVALENT.get(self.mutant.name)
        return f"{self.mutant.name}: {f'changes nothing: {why}' if why else 'SURVIVES'}"


def mutants() -> Iterator[Mutant]:
    """Every single change of the lifecycle's tables."""
    for event in SLOT.events.values():
        for i, rule in enumerate(event.rules):
            label = f"{event.name} {rule.outcome.name}"
            if i < len(event.rules) - 1:
                yield Mutant(f"{label} dropped", event.without_rule(i))
            for weaker in _weakened(rule):
                yield Mutant(f"{label} {weaker[0]}", _with(event, i, weaker[1]))


def _with(event: Event, number: int, rule: Rule) -> Event:
    rules = [rule if i == number else r for i, r in enumerate(event.rules)]
    return replace(event, rules=tuple(rules))


def _weakened(rule: Rule) -> Iterator[tuple[str, Rule]]:
    for name, value in rule.writes.items():
        rest = {k: v for k, v in rule.writes.items() if k != name}
        yield f"forgets {name}", replace(rule, writes=rest)
        for other in _others(name, value):
            yield f"makes {name} {other}", replace(rule, writes={**rest, name: other})
    if rule.when.op in ("and", "or"):
        for part in rule.when.args:
            yield f"without {part}", replace(rule, when=_without(rule.when, part))


def _others(name: str, value: Expr) -> Iterator[Expr]:
    """What a field could wrongly become: the opposite, each other member, one more."""
    kind = SLOT.fields[name].kind
    if isinstance(value, BoolExpr):
        yield ~value
    elif kind is None:
        yield as_int(value) + 1
    elif value.op == "int":
        yield from (integer(m) for m in kind if int(m) != value.data[0])
    else:
        yield integer(kind(0))


def _without(condition: BoolExpr, part: Expr) -> BoolExpr:
    rest = [as_bool(a) for a in condition.args if a.uid != part.uid]
    return all_of(*rest) if condition.op == "and" else any_of(*rest)


def judge(mutant: Mutant) -> Fate:
    """Check one mutant's world until something is refuted."""
    machine = SLOT.replaced(mutant.event)
    for bounds in BOUNDS:
        model = final(**bounds, buffers=2, machine=machine)
        report = check(model, traces=False, until_refuted=True)
        killers = tuple(
            (r.name, r.depth or 0)
            for r in report.results
            if r.kind == "always" and r.verdict == Verdict.REFUTED
        )
        if killers:
            return Fate(mutant, killers)
    return Fate(mutant, ())


def fate_of(number: int) -> Fate:
    """The fate of the numbered mutant (a task for a worker process)."""
    return judge(list(mutants())[number])


def run(workers: int = 2) -> list[Fate]:
    """Every mutant's fate."""
    numbers = range(len(list(mutants())))
    with ProcessPoolExecutor(workers) as pool:
        fates = []
        for done, fate in enumerate(pool.map(fate_of, numbers, chunksize=4), 1):
            progress(f"mutants of the lifecycle: {done} of {len(numbers)}")
            fates.append(fate)
        return fates


def row() -> Row:
    """The ledger's line: UNKNOWN where a mutant survives unexplained."""
    started = time.perf_counter()
    fates = run()
    wrong = tuple(f.line() for f in fates if not f.acceptable)
    refuted = sum(bool(f.killers) for f in fates)
    return Row(
        f"{refuted} of {len(fates)} mutants of the lifecycle refuted, the others change nothing",
        "explicit-state search of each mutant's world",
        Verdict.REFUTED if wrong else Verdict.CONFIRMED,
        "; ".join(" ".join(f"{k}={v}" for k, v in b.items()) for b in BOUNDS),
        time.perf_counter() - started,
        "that no mistake other than these single changes would go unnoticed",
        wrong,
    )


if __name__ == "__main__":
    for fate in run():
        print(fate.line())
