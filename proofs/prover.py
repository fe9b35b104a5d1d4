"""One obligation at a time: invariant and guard give the goal, by instances that Z3 decides."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from nbio.verify.engine import Verdict
from nbio.verify.smt import Term
from proofs.endless import Before, Env, Quantified, Reader, z3
from proofs.invariants import Clause

MILLISECONDS: Final = 60_000
"""Given to one question; they take a few hundredths of a second. Longer is UNKNOWN."""
ROUNDS: Final = 4
"""Witnesses of witnesses are followed so far."""
NATURAL: Final = ("slot", "request", "block")
"""Sorts whose members begin at 0; a party may be any integer."""
Terms = dict[str, list[Term]]


@dataclass(frozen=True)
class Obligation:
    """What is to be shown of one action (or of the start, or of no step at all), by name."""

    action: str
    goal: str
    verdict: Verdict
    core: tuple[str, ...]
    """The clauses that the proof used."""

    @property
    def name(self) -> str:
        """``close/P6``."""
        return f"{self.action}/{self.goal}"


class Premises:
    """Everything known before a step: guard, invariant, and the meaning of quantifiers."""

    def __init__(
        self, reader: Reader, clauses: Sequence[Clause], base: Terms, guard: Sequence[Term] = ()
    ) -> None:
        self.reader, self.clauses = reader, clauses
        self.solver = z3.Solver()
        self.solver.set("timeout", MILLISECONDS)
        self.literals = {c.name: z3.Bool(f"uses!{c.name}") for c in clauses}
        self.base = {sort: list(terms) for sort, terms in base.items()}
        self.meant = reader.met()
        self._taken: set[Quantified] = set()
        self._given = [*guard, *(domain(s, t) for s, terms in base.items() for t in terms)]

    def state(self, denied: Term) -> None:
        """Tell the solver, and that the goal is denied."""
        facts: list[Term] = []
        # The witnesses of one round are terms of the next.
        for _ in range(ROUNDS):
            terms = reach(self.reader.before, self.base)
            facts = list(self._facts(terms, self.base))
            if not self._take_witnesses():
                break
        self.solver.add(denied, *self._given, *facts)

    def _take_witnesses(self) -> bool:
        new = self.meant - self._taken
        self._taken |= new
        for q in sorted(new, key=lambda q: str(q.witness)):
            self.base[q.sort].append(q.witness)
        return bool(new)

    def _facts(self, terms: Terms, base: Terms) -> Iterator[Term]:
        before = self.reader.before
        yield from axioms(before, terms)
        self.reader.met()
        for clause in self.clauses:
            for env in envs(clause, terms):
                held = self.reader.term(clause.holds, env, before)
                met = self.reader.met()
                if all(any(t is b for b in base[s]) for s, t in zip_sorts(clause, env)):
                    self.meant |= met
                members = [domain(s, t) for s, t in zip_sorts(clause, env)]
                if not z3.is_true(held):
                    yield z3.Implies(z3.And(self.literals[clause.name], *members), held)
        yield from self._meaning(terms)

    def _meaning(self, terms: Terms) -> Iterator[Term]:
        done: set[Quantified] = set()
        pending = set(self.reader.quantifiers.values())
        while pending - done:
            for q in list(pending - done):
                done.add(q)
                yield from meaning(q, terms[q.sort])
            pending = set(self.reader.quantifiers.values())

    def check(self) -> tuple[Verdict, tuple[str, ...]]:
        """Whether they contradict each other: CONFIRMED, with the clauses used.

        REFUTED says that the instances don't: no proof, and most likely no theorem. UNKNOWN is
        Z3's time-out.
        """
        found = self.solver.check(*self.literals.values())
        if found == z3.unsat:
            used = {str(x) for x in self.solver.unsat_core()}
            return Verdict.CONFIRMED, tuple(n for n, x in self.literals.items() if str(x) in used)
        return (Verdict.REFUTED if found == z3.sat else Verdict.UNKNOWN), ()


def zip_sorts(clause: Clause, env: Env) -> Iterator[tuple[str, Term]]:
    """The sort and the term of each bound variable."""
    for sort, bound in clause.over:
        yield sort, env[bound.uid]


def envs(clause: Clause, terms: Terms) -> Iterator[Env]:
    """Each choice of terms for a clause's bound variables."""
    for chosen in itertools.product(*(terms[sort] for sort, _ in clause.over)):
        yield {b.uid: t for (_, b), t in zip(clause.over, chosen, strict=True)}


def meaning(q: Quantified, terms: Sequence[Term]) -> Iterator[Term]:
    """What the truth of a quantifier means: its witness, and its body at each term."""
    at_witness = z3.And(domain(q.sort, q.witness), q.body(q.witness))
    if q.op == "exists":
        yield z3.Implies(q.truth, at_witness)
        yield from (z3.Implies(z3.And(domain(q.sort, t), q.body(t)), q.truth) for t in terms)
    else:
        refuted = z3.And(domain(q.sort, q.witness), z3.Not(q.body(q.witness)))
        yield z3.Or(q.truth, refuted)
        yield from (z3.Implies(z3.And(q.truth, domain(q.sort, t)), q.body(t)) for t in terms)


def domain(sort: str, t: Term) -> Term:
    """``t`` is a member of the sort."""
    return t >= 0 if sort in NATURAL else z3.BoolVal(True)


def axioms(before: Before, terms: Terms) -> Iterator[Term]:
    """What is fixed: each leftover has a request, and the marks are apart."""
    high, low = before.read("high", None), before.read("low", None)
    yield z3.And(low >= 0, low < high)
    yield from (before.read("leftover_of", p) >= 0 for p in terms["party"])


def reach(before: Before, base: Terms) -> Terms:
    """The terms at which everything is instantiated: the base, and what it leads to."""
    read, found = before.read, Found(base)
    for p in list(base["party"]):
        r = z3.simplify(z3.If(p >= 0, p, read("leftover_of", p)))
        found.add("request", r)
        found.add("block", read("current", p), z3.simplify(read("kept", p) - 1))
    for r in list(found.terms["request"]):
        found.add("slot", read("handle", r))
    for k in list(base["block"]):
        found.add("slot", read("in", k))
        found.add("request", read("tag", k))
        found.add("block", read("next", k))
    for s in list(found.terms["slot"]):
        found.add("request", read("owner", s))
        first = read("first", s)
        found.add("block", first, read("last", s), read("next", first))
    return found.terms


class Found:
    """Terms by sort, each once."""

    def __init__(self, base: Terms) -> None:
        self.terms: Terms = {sort: [] for sort in ("slot", "request", "party", "block")}
        for sort, terms in base.items():
            self.add(sort, *terms)

    def add(self, sort: str, *terms: Term) -> None:
        """Note terms of a sort."""
        for t in terms:
            if not any(t.eq(other) for other in self.terms[sort]):
                self.terms[sort].append(t)


def skolem(sort: str, number: int) -> Term:
    """Some member of a sort, the goal's."""
    return z3.Int(f"some_{sort}_{number}")
