"""A model as Promela, so that SPIN, which shares no code with this checker, can judge it too.

The export is one more visitor of the syntax tree: arrays, parameters and updates as the author
wrote them, nothing lowered first, and never an explored graph. One process loops over the action
instances; each is a ``d_step``, so the process is always at the loop's head between two steps and
the stored states are the values of the variables, nothing else.

* Updates happen at once: what reads a variable that an earlier update of the same action has
  written is computed beforehand, into a temporary; so is what an action mentions more than once.
  SPIN's breadth-first search takes no ``hidden`` variables, so a temporary is part of the state;
  each is 0 again at the end of the step, and tells no two states apart.
* One more option of the loop judges the state and changes nothing. A property is an assertion
  there that can fail once (``told``, which is no part of a state, remembers it), and that the state
  has a successor or is done is one too; so SPIN needs no notion of deadlock. ``sometimes`` is
  asserted *not* to hold. ``leads_to`` is left out.
* Several initial states are a choice before the loop, made in one more state; so is an array whose
  start values differ and are negative somewhere, which no declaration can say.

Hence, run without reductions (``-DBFS -DNOREDUCE``) and without stopping (``-c0 -E``)::

    stored  = states + 1 if there is such a choice, else states
    matched = transitions + initial
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from nbio.verify.engine import DEADLOCK
from nbio.verify.expr import (
    FALSE,
    TRUE,
    BoolExpr,
    Expr,
    IntExpr,
    ModelError,
    all_of,
    any_of,
    as_bool,
    as_int,
    implies,
    integer,
    parameter,
)
from nbio.verify.ints import Interpreter
from nbio.verify.node import nodes
from nbio.verify.program import Program
from nbio.verify.promela_words import heading, in_comment, is_chosen, names_for, type_of
from nbio.verify.rewriting import substitute
from nbio.verify.spec import Action, Model, Update, Variable, expand

_INFIX: Final = {
    "and": " && ",
    "or": " || ",
    "add": " + ",
    "sub": " - ",
    "mul": " * ",
    "eq": " == ",
    "iff": " == ",
    "lt": " < ",
    "le": " <= ",
}


@dataclass(frozen=True)
class Claim:
    """A property, and the temporary whose falsehood SPIN reports."""

    name: str
    kind: str
    asserted: BoolExpr
    temporary: str = ""


@dataclass(frozen=True)
class Export:
    """The Promela text, and what its assertions mean; ``chosen``: initial states are a step."""

    text: str
    claims: tuple[Claim, ...]
    chosen: bool


def to_promela(model: Model, command: str = "") -> str:
    """The model as Promela; ModelError where it needs numbers of more than 32 bits."""
    return exported(model, command).text


def exported(model: Model, command: str = "") -> Export:
    """The model as Promela, with the meaning of its assertions."""
    return _Exporter(model).export(command)


class _Exporter:
    def __init__(self, model: Model) -> None:
        self.model = model
        self.names = names_for(model)
        self.temporaries: dict[str, str] = {}
        self.guards: list[BoolExpr] = []
        self._held: Mapping[int, str] = {}

    # ------------------------------------------------------------------------ expressions

    def text(self, expr: Expr, held: Mapping[int, str] | None = None) -> str:
        """An expression of the model; ``held`` names temporaries that stand for parts of it."""
        self._held = held or {}
        return self._text(expand(expr))

    def _text(self, expr: Expr) -> str:
        op, args = expr.op, expr.args
        if expr.uid in self._held:
            return self._held[expr.uid]
        type_of(expr, str(expr))
        if op in ("int", "bool"):
            return str(int(expr.data[0]))
        if op == "var":
            return self.names[str(expr.data[0])]
        if op == "select":
            return f"{self.names[str(expr.data[0])]}[{self._index(args[0], int(expr.data[1]))}]"
        if op in _INFIX:
            return f"({_INFIX[op].join(map(self._text, args))})"
        if op == "not":
            # In brackets, as `!!` is an operator of its own.
            return f"(!{self._text(args[0])})"
        if op == "implies":
            return f"((!{self._text(args[0])}) || {self._text(args[1])})"
        parts = [self._text(a) for a in args]
        if op == "ite":
            return f"({parts[0]} -> {parts[1]} : {parts[2]})"
        if op in ("div", "mod"):
            return self._divided(op, args[0], args[1].lo)
        if op in ("min", "max"):
            a, b = parts
            return f"({a} {'<' if op == 'min' else '>'} {b} -> {a} : {b})"
        raise ModelError(f"Promela's visitor has no rule for the operator {op!r} (in {expr})")

    def _divided(self, op: str, of: Expr, by: int) -> str:
        """Promela rounds to zero: what may be negative is divided a multiple higher."""
        more = -(of.lo // by) if of.lo < 0 else 0
        above = of + more * by if isinstance(of, IntExpr) and more else of
        text = self._text(above)
        return f"(({text} / {by}) - {more})" if op == "div" else f"({text} % {by})"

    def _index(self, index: Expr, size: int) -> str:
        """Reads are total: an index outside the array reads the nearest cell."""
        text = self._text(index)
        if index.lo < 0:
            low = f"({text} < 0 -> 0 : {text})"
            text = low if index.hi >= 0 else "0"
        if index.hi >= size:
            text = f"({text} > {size - 1} -> {size - 1} : {text})"
        return text

    # -------------------------------------------------------------------------- the parts

    def export(self, command: str) -> Export:
        """Everything, in the order in which Promela wants it."""
        if self.model.constraint.op != "bool":
            raise ModelError(f"{self.model.name}: `within` has no counterpart in Promela")
        starts = self._starts()
        steps = [line for action in self.model.actions for line in self._steps(action)]
        claims = list(self._claims())
        judging = list(self._judged(claims))
        lines = [
            *heading(self.model, command),
            *map(self._declared, self.model.variables.values()),
        ]
        lines += [f"{kind} {name};" for name, kind in self.temporaries.items()]
        lines += [f"c_decl {{ unsigned char told[{len(claims) or 1}]; }}"]
        lines += ["", "active proctype model()", "{"]
        chosen = starts != [""]
        if chosen:
            lines += ["  if", *(f"  :: d_step {{ {s} }}" for s in starts), "  fi;"]
        lines += ["  do", *steps, "  :: d_step { /* judge this state */", "      true;", *judging]
        lines += ["    }", "  od", "}"]
        return Export("\n".join(lines) + "\n", tuple(claims), chosen)

    def _declared(self, v: Variable) -> str:
        size = f"[{v.size}]" if v.over else ""
        first = [0 if is_chosen(v) else c[0] for c in v.init]
        start = str(first[0]) if len(set(first)) == 1 else f"{{{', '.join(map(str, first))}}}"
        return f"{type_of(v, v.name)} {self.names[v.name]}{size} = {start};"

    def _starts(self) -> list[str]:
        """One text of assignments an initial state."""
        cells = [
            (f"{self.names[v.name]}[{n}]" if v.over else self.names[v.name])
            if len(choices) > 1 or is_chosen(v)
            else ""
            for v in self.model.variables.values()
            for n, choices in enumerate(v.init)
        ]
        return [
            "; ".join(f"{c} = {value}" for c, value in zip(cells, state, strict=True) if c)
            for state in Interpreter(Program(self.model)).starts()
        ]

    def _claims(self) -> Iterator[Claim]:
        for p in self.model.properties:
            if p.kind != "leads_to":
                yield Claim(p.name, p.kind, p.holds if p.kind == "always" else ~p.holds)
        if self.model.checks_deadlock:
            yield Claim(DEADLOCK, "always", any_of(self.model.done_when, *self.guards))

    def _judged(self, claims: list[Claim]) -> Iterator[str]:
        """Assertions; each claim learns the name of the temporary that stands for it."""
        block = _Block(self, [c.asserted for c in claims])
        for number, claim in enumerate(claims):
            claims[number] = replace(claim, temporary=block.hold(claim.asserted))
            yield from block.taken()
            said = in_comment(f"{claim.kind} {claim.name}")
            name = claims[number].temporary
            once = f"c_expr {{ !told[{number}] }} -> c_code {{ told[{number}] = 1; }}"
            yield f"      /* {said} */"
            yield f"      if :: !{name} -> if :: {once}; assert({name}) :: else fi :: else fi;"
        yield from block.reset()

    # ---------------------------------------------------------------------------- actions

    def _steps(self, action: Action) -> Iterator[str]:
        symbols = [parameter(n, 0, i.size - 1).uid for n, i in action.params]
        for values in itertools.product(*(range(i.size) for _, i in action.params)):
            env: dict[int, Expr] = {u: integer(v) for u, v in zip(symbols, values, strict=True)}
            guard = as_bool(substitute(action.guard, env))
            if guard.op == "bool" and not guard.data[0]:
                continue
            self.guards.append(guard)
            label = f"{action.name}({', '.join(map(str, values))})" if values else action.name
            yield f"  :: d_step {{ /* {in_comment(label)} */"
            yield f"      {self.text(guard)};"
            yield from self._assigned([_bound(u, env) for u in action.updates])
            yield "    }"

    def _assigned(self, updates: Sequence[Update]) -> Iterator[str]:
        """The updates, as if all at once: what must be computed first, then the assignments."""
        made = [u for u in updates if u.when.op != "bool" or u.when.data[0]]
        fits = all_of(*(self._fits(u, made[n + 1 :]) for n, u in enumerate(made)))
        parts = [p for u in made for p in (u.index, u.value, u.when) if p is not None]
        block, then = _Block(self, [fits, *parts]), list[str]()
        always = fits.op == "bool" and fits.data[0]
        checked = "" if always else block.hold(fits)
        for update in made:
            then.append(f"      {self._assignment(update, block)}")
            block.written.add(update.variable)
        yield from block.taken()
        if checked:
            # A step that leaves a range is told, and not taken.
            yield f"      if :: !{checked} -> assert(false) :: else ->"
        yield from then or ["      skip;"]
        if checked:
            yield "      fi;"
        yield from block.reset()

    def _assignment(self, update: Update, before: _Block) -> str:
        name, size = self.names[update.variable], self.model.variables[update.variable].size
        index = update.index
        target = name if index is None else f"{name}[{before(index)}]"
        value = before(update.value)
        if update.when.op == "bool":
            return f"{target} = {value};"
        when = before(update.when)
        if index is None or (index.lo >= 0 and index.hi < size):
            return f"{target} = ({when} -> {value} : {target});"
        return f"if :: {when} -> {target} = {value} :: else fi;"

    def _fits(self, update: Update, later: Sequence[Update]) -> BoolExpr:
        """That an update is none of what the checker would call an error in the model."""
        v, index, value = self.model.variables[update.variable], update.index, update.value
        needed = TRUE
        if index is not None and not (index.lo >= 0 and index.hi < v.size):
            needed = implies(update.when, (index >= 0) & (index < v.size))
        if isinstance(value, IntExpr) and not (value.lo >= v.lo and value.hi <= v.hi):
            stays = update.when & ~any_of(*(_same_cell(update, u) for u in later))
            needed = needed & implies(stays, (value >= v.lo) & (value <= v.hi))
        return needed


class _Block:
    """What a step computes before its first assignment, and the temporaries that hold it."""

    def __init__(self, exporter: _Exporter, parts: Sequence[Expr]) -> None:
        self._exporter = exporter
        self._held: dict[int, str] = {}
        self._used: dict[str, int] = {}
        self.lines: list[str] = []
        self.written: set[str] = set()
        for shared in _shared(list(map(expand, parts))):
            self.hold(shared)

    def hold(self, expr: Expr) -> str:
        """A temporary that has the expression's value from here on."""
        expr = expand(expr)
        if expr.uid not in self._held:
            text = self._exporter.text(expr, self._held)
            kind = type_of(expr, str(expr))
            number = self._used.get(kind, 0)
            self._used[kind] = number + 1
            name = f"t_{kind}_{number}"
            self._exporter.temporaries[name] = kind
            self._held[expr.uid] = name
            self.lines.append(f"      {name} = {text};")
        return self._held[expr.uid]

    def __call__(self, expr: Expr) -> str:
        """The text of an expression's value in the state before the step."""
        if _reads(expr) & self.written:
            return self.hold(expr)
        return self._exporter.text(expr, self._held)

    def taken(self) -> list[str]:
        """The lines so far; more may follow."""
        lines, self.lines = self.lines, []
        return lines

    def reset(self) -> list[str]:
        """Every temporary is 0 again."""
        return [f"      {name} = 0;" for name in self._held.values()]


def _shared(parts: Sequence[Expr]) -> list[Expr]:
    """What the expressions mention more than once, parts before wholes."""
    order: dict[int, Expr] = {}
    mentions: dict[int, int] = {}

    def visit(node: Expr) -> None:
        mentions[node.uid] = mentions.get(node.uid, 0) + 1
        if node.uid not in order and node.args:
            for arg in node.args:
                visit(arg)
            order[node.uid] = node

    for part in parts:
        visit(part)
    return [n for n in order.values() if mentions[n.uid] > 1 and not _is_cheap(n)]


def _is_cheap(node: Expr) -> bool:
    """As short as the temporary that would stand for it: a cell, or the negation of one."""
    return node.op in ("select", "not") and not node.args[0].args


def _same_cell(one: Update, other: Update) -> BoolExpr:
    """Whether ``other`` is made too, and writes the cell that ``one`` writes."""
    if one.variable != other.variable:
        return FALSE
    if one.index is None or other.index is None:
        return other.when
    return other.when & (one.index == other.index)


def _bound(update: Update, env: dict[int, Expr]) -> Update:
    """An update at given values of the action's parameters."""
    index = None if update.index is None else as_int(substitute(update.index, env))
    when = as_bool(substitute(update.when, env))
    return replace(update, index=index, value=substitute(update.value, env), when=when)


def _reads(expr: Expr) -> set[str]:
    """The variables that an expression reads."""
    return {str(n.data[0]) for n in nodes(expr) if n.op in ("var", "select")}
