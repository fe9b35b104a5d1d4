"""Expressions of the endless world as Z3 terms, quantifiers by instances.

A state is anything that says what an array holds at an index: the state before a step (each array
an uninterpreted function), the state after it (the action's updates, folded into a term), the
initial one. The same expression is read in any of them.

A quantifier never reaches the solver. It becomes a truth value ``b`` with what follows from its
meaning: for ``exists``, that ``b`` gives a witness (a new constant) and that each term of the right
sort for which the body holds gives ``b``; ``forall`` likewise. Each fact is true whatever terms are
chosen, so "unsatisfiable" is a proof; too few terms can only lose one. All that is left is linear
arithmetic and functions, which Z3 decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from nbio.verify.expr import TRUE, UNBOUNDED, Expr, integer
from nbio.verify.node import nodes
from nbio.verify.rewriting import rewrite
from nbio.verify.smt import Term, load_z3, to_z3
from nbio.verify.spec import Action, Update
from proofs.unbounded import EVERY, EndlessWorld

z3: Any = load_z3()
Env = Mapping[int, Term]

SORTS = {
    "slot": "slot",
    "request": "request",
    "party": "party",
    "keeper": "party",
    "block": "block",
}
"""Index -> sort of its members: keeper ``i`` is party ``i``."""


class State(Protocol):
    """What an array holds at an index."""

    def read(self, name: str, at: Term) -> Term: ...


def tidy(expr: Expr) -> Expr:
    """Without bounds: a size is no number. What is out of range, as ``nobody``, becomes -1."""

    def leaf(node: Expr) -> Expr | None:
        if node.op == "int" and node.lo >= UNBOUNDED:
            return integer(-1)
        if node.op in ("lt", "le", "min") and _is_size(node.args[1]):
            return tidy(node.args[0]) if node.op == "min" else TRUE
        return None

    return rewrite(expr, leaf, _TIDIED)


_TIDIED: dict[int, Expr] = {}


def _is_size(node: Expr) -> bool:
    """A size, or the last member of an index that has none."""
    return node.op == "int" and node.lo >= UNBOUNDED - 1


@dataclass(frozen=True, eq=False)
class Quantified:
    """A quantifier that was met: its truth value, its body at a term, its witness."""

    op: str
    sort: str
    truth: Term
    body: Callable[[Term], Term]
    witness: Term


class Reader:
    """Translates expressions, and collects the facts about the quantifiers in them."""

    def __init__(self, world: EndlessWorld, domain: Mapping[str, list[Term]] | None = None) -> None:
        self.world = world
        self.domain = domain
        self.before = Before(world)
        self.quantifiers: dict[tuple[object, ...], Quantified] = {}
        self._memo: dict[tuple[object, ...], tuple[Term, set[Quantified]]] = {}
        self._free: dict[int, frozenset[int]] = {}
        self._alive: list[tuple[Env, State]] = []
        self._met: list[set[Quantified]] = [set()]

    def term(self, expr: Expr, env: Env, state: State) -> Term:
        """``expr`` with parameters as in ``env``, read in ``state``."""
        key = self._key(expr, env, state)
        found = self._memo.get(key)
        if found is None:
            # Terms are known by number, and numbers of dead terms are used again.
            self._alive.append((env, state))
            self._met.append(set())
            term = self._term(tidy(expr), env, state)
            found = self._memo[key] = (term, self._met.pop())
        self._met[-1] |= found[1]
        return found[0]

    def met(self) -> set[Quantified]:
        """The quantifiers in what was translated since this was last asked."""
        found, self._met[-1] = self._met[-1], set()
        return found

    def _key(self, expr: Expr, env: Env, state: State) -> tuple[object, ...]:
        free = sorted(self.free(expr) & env.keys())
        return (expr.uid, id(state), *((u, env[u].get_id()) for u in free))

    def _term(self, expr: Expr, env: Env, state: State) -> Term:
        def leaf(node: Expr) -> Term:
            if node.op == "param":
                return env[node.uid]
            name = str(node.data[0])
            at = self.term(node.args[0], env, state) if node.args else None
            return state.read(name, at)

        def quantified(node: Expr) -> Term:
            return self._quantified(node, env, state)

        return z3.simplify(to_z3(expr, leaf, quantified))

    def free(self, expr: Expr) -> frozenset[int]:
        """The parameters that an expression is about, bound ones too."""
        found = self._free.get(expr.uid)
        if found is None:
            found = frozenset().union(*(self.free(a) for a in expr.args))
            if expr.op == "param":
                found |= {expr.uid}
            self._free[expr.uid] = found
        return found

    def _quantified(self, node: Expr, env: Env, state: State) -> Term:
        assert node.op != "count", "there is no counting without end"
        bound, inner = node.args
        sort = SORTS[str(bound.data[0]).split("_")[0]]
        outer = {u: t for u, t in env.items() if u != bound.uid}

        def body(t: Term) -> Term:
            return self.term(inner, {**outer, bound.uid: t}, state)

        if self.domain is not None:
            parts = [body(t) for t in self.domain[sort]]
            return z3.And(*parts) if node.op == "forall" else z3.Or(*parts)
        key = self._key(node, outer, state)
        found = self.quantifiers.get(key)
        if found is None:
            n = len(self.quantifiers)
            truth, witness = z3.Bool(f"{node.op}!{n}"), z3.Int(f"{sort}!{n}")
            found = self.quantifiers[key] = Quantified(node.op, sort, truth, body, witness)
        self._met[-1].add(found)
        return found.truth


class Before:
    """The state before a step: each array a function nothing is known of."""

    def __init__(self, world: EndlessWorld) -> None:
        self._known: dict[str, Any] = {}
        for name, v in world.m.variables.items():
            sort = z3.BoolSort() if v.truth else z3.IntSort()
            self._known[name] = z3.Function(name, z3.IntSort(), sort) if v.over else None

    def read(self, name: str, at: Term) -> Term:
        """The function at the index; ``high`` and ``low`` are constants."""
        known = self._known.get(name)
        return z3.Int(name) if known is None else known(at)


class Initial:
    """The initial state: all cells of an array alike. What no action writes is as ever."""

    RIGID = ("high", "low", "leftover_of")

    def __init__(self, world: EndlessWorld, before: Before) -> None:
        self._variables, self._before = world.m.variables, before

    def read(self, name: str, at: Term) -> Term:
        """The start value."""
        if name in self.RIGID:
            return self._before.read(name, at)
        v = self._variables[name]
        start = v.init[0][0]
        return (
            z3.BoolVal(bool(start)) if v.truth else z3.IntVal(-1 if start >= UNBOUNDED else start)
        )


class After:
    """The state after an action: what its updates make of the state before."""

    def __init__(self, reader: Reader, action: Action, env: Env) -> None:
        self._reader, self._env = reader, env
        self._updates: dict[str, list[Update]] = {}
        for update in action.updates:
            self._updates.setdefault(update.variable, []).append(update)

    def read(self, name: str, at: Term) -> Term:
        """The last update of that cell, or what was there before."""
        value = self._reader.before.read(name, at)
        for update in self._updates.get(name, ()):
            value = self._updated(update, at, value)
        return value

    def _updated(self, update: Update, at: Term, old: Term) -> Term:
        reader, env = self._reader, self._env
        assert update.index is not None, f"{update.place}: no scalar is read"
        each = next(symbols(update.index), None)
        if each is not None:
            env, here = {**env, each.uid: at}, z3.BoolVal(True)
        else:
            here = reader.term(update.index, env, reader.before) == at
        when = reader.term(update.when, env, reader.before)
        return z3.If(z3.And(here, when), reader.term(update.value, env, reader.before), old)


def symbols(expr: Expr) -> Iterator[Expr]:
    """The symbols in an expression that stand for each member of an index."""
    return (n for n in nodes(expr) if n.op == "param" and str(n.data[0]).startswith(EVERY))


def sort_of(symbol: Expr) -> str:
    """The sort of such a symbol."""
    return SORTS[str(symbol.data[0]).removeprefix(EVERY)]
