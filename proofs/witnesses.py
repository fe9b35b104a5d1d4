"""Premises can be met, clauses are needed, mutants caught: the endless world made small.

Where the induction chooses terms, here every sort has two or three members, each quantifier is
written out, and what Z3 finds is a state that one can look at. It shows what a proof can't: that
the premises of the induction are not contradictory, that a clause less would not do, and that a
broken lifecycle is noticed.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from nbio.verify.expr import Expr, parameter
from nbio.verify.smt import Term
from nbio.verify.spec import Action
from proofs.endless import SORTS, After, Env, Reader, State, sort_of, symbols, z3
from proofs.invariants import Clause
from proofs.prover import Terms, envs
from proofs.unbounded import EndlessWorld

SMALL: dict[str, list[int]] = {
    "slot": [0, 1],
    "request": [0, 1],
    "party": [0, 1, -1],
    "block": [0, 1],
}
HOLDS = {
    "handle": ("request", [0, 1]),
    "owner": ("slot", [-1, 0, 1]),
    "in": ("block", [-1, 0, 1]),
    "tag": ("block", [-1, 0, 1]),
    "next": ("block", [0, 1]),
    "current": ("party", [0, 1]),
    "kept": ("party", [0, 1, 2]),
    "leftover_of": ("party", [0, 1]),
    "first": ("slot", [-1, 0, 1]),
    "last": ("slot", [-1, 0, 1]),
}
"""What names members: the sort of its index, and its values at this size."""


class Small:
    """States of the endless world at the small size, that the invariant holds of."""

    def __init__(self, world: EndlessWorld, clauses: Sequence[Clause]) -> None:
        self.world, self.clauses = world, clauses
        self.terms: Terms = {s: [z3.IntVal(n) for n in ns] for s, ns in SMALL.items()}
        self.reader = Reader(world, self.terms)
        self.literals = {c.name: z3.Bool(f"uses!{c.name}") for c in clauses}
        self.solver = z3.Solver()
        self.solver.add(*self._sizes())
        for clause in clauses:
            held = self.everywhere(clause, self.reader.before)
            self.solver.add(z3.Implies(self.literals[clause.name], held))

    def _sizes(self) -> Iterator[Term]:
        read = self.reader.before.read
        yield z3.And(read("low", None) >= 0, read("low", None) < read("high", None))
        for name, (sort, values) in HOLDS.items():
            for t in self.terms[sort]:
                yield z3.Or(*(read(name, t) == v for v in values))

    def everywhere(self, clause: Clause, state: State) -> Term:
        """The clause, of every choice of members."""
        return z3.And(*(self.reader.term(clause.holds, e, state) for e in envs(clause, self.terms)))

    def throughout(self, expr: Expr, env: Env) -> list[Term]:
        """An expression in these states, for each member that its symbol stands for."""
        each = list(symbols(expr))
        found = []
        for members in itertools.product(*(self.terms[sort_of(e)] for e in each)):
            chosen = {**env, **{e.uid: m for e, m in zip(each, members, strict=True)}}
            found.append(self.reader.term(expr, chosen, self.reader.before))
        return found

    def satisfiable(self, *terms: Term, without: str = "") -> bool:
        """Whether some state of this size meets the invariant, less a clause, and the terms."""
        used = [x for n, x in self.literals.items() if n != without]
        return bool(self.solver.check(*used, *terms) == z3.sat)


class Stepping:
    """An action taken from such states."""

    def __init__(self, small: Small, action: Action) -> None:
        self.small, self.action = small, action
        reader = small.reader
        self.env: Env = {parameter(n, 0, i.size - 1).uid: z3.Int(n) for n, i in action.params}
        self.guard = z3.And(*self._domain(), reader.term(action.guard, self.env, reader.before))
        self.after = After(reader, action, self.env)

    def _domain(self) -> Iterator[Term]:
        for name, index in self.action.params:
            members = SMALL[SORTS[index.name]] if index.name in SORTS else [0, 1]
            yield z3.Or(*(z3.Int(name) == n for n in members))

    def can_happen(self) -> bool:
        """Whether the guard holds of some state of the invariant."""
        return self.small.satisfiable(self.guard)

    def breaks(self, without: str = "") -> str:
        """A goal that the step breaks where the invariant (less a clause) holds; "" for none."""
        world = self.small.world
        for prop in world.ground.judged:
            for blame in world.blames(self.action, prop):
                for found in self.small.throughout(blame, self.env):
                    if self.small.satisfiable(self.guard, found, without=without):
                        return prop
        for clause in self.small.clauses:
            if clause.name != without:
                broken = z3.Not(self.small.everywhere(clause, self.after))
                if self.small.satisfiable(self.guard, broken, without=without):
                    return clause.name
        return ""
