"""An object's lifecycle as a decision table: fields, and for each event an ordered list of rules.

The first rule whose condition holds decides the outcome of the event and what it writes. A table
is a statement that can be printed, mutated rule by rule, woven into a world of several parties
(:meth:`Machine.apply`) and emitted as plain Python (``nbio.verify.emit``): one statement, all
readers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum

from nbio.verify.expr import (
    TRUE,
    BoolExpr,
    BoolLike,
    Expr,
    IntExpr,
    IntLike,
    ModelError,
    as_bool,
    as_int,
    bool_var,
    boolean,
    caller,
    int_var,
    integer,
    ite,
    parameter,
)
from nbio.verify.rewriting import substitute


@dataclass(frozen=True)
class Field:
    """A variable of the object. ``kind`` is set for enums; ``start`` is its value when idle."""

    name: str
    node: Expr
    start: Expr
    doc: str
    kind: type[IntEnum] | None = None


@dataclass(frozen=True)
class Rule:
    """Where ``when`` holds (and no earlier rule's condition did): the outcome, and the writes."""

    outcome: IntEnum
    when: BoolExpr
    writes: Mapping[str, Expr]
    because: str


@dataclass(frozen=True)
class Event:
    """An event's parameters and its rules, in order; the last rule has no condition."""

    name: str
    doc: str
    params: tuple[IntExpr, ...]
    rules: tuple[Rule, ...]

    @property
    def written(self) -> list[str]:
        """Fields that some rule writes, in the order of first mention."""
        seen: dict[str, None] = {}
        for rule in self.rules:
            seen.update(dict.fromkeys(rule.writes))
        return list(seen)

    def expressions(self) -> list[Expr]:
        """Every expression of the table."""
        return [e for r in self.rules for e in (r.when, *r.writes.values())]

    def without_rule(self, number: int) -> Event:
        """A mutant: the table with one rule dropped (the last rule's condition then falls away)."""
        rules = [r for i, r in enumerate(self.rules) if i != number]
        rules[-1] = replace(rules[-1], when=TRUE)
        return replace(self, rules=tuple(rules))


@dataclass(frozen=True)
class Applied:
    """An event applied to given field values: its outcome, and the new value of what it writes."""

    outcome: IntExpr
    writes: Mapping[str, Expr]


class EventBuilder:
    """Collects an event's rules in order."""

    def __init__(self, machine: Machine, name: str, doc: str, params: tuple[IntExpr, ...]) -> None:
        self._machine, self._name, self._doc, self._params = machine, name, doc, params
        self._rules: list[Rule] = []

    def refuse(self, outcome: IntEnum, when: BoolLike, because: str) -> EventBuilder:
        """Where ``when`` holds the event is refused: nothing changes."""
        return self.rule(outcome, when, because)

    def rule(
        self, outcome: IntEnum, when: BoolLike, because: str, **writes: IntLike | BoolLike
    ) -> EventBuilder:
        """Where ``when`` holds (and no earlier rule did): write, and say ``outcome``."""
        new: dict[str, Expr] = {}
        for name, value in writes.items():
            known = self._machine.fields.get(name)
            if known is None:
                raise ModelError(f"{caller()}: {self._name} writes {name}, which is no field")
            truth = isinstance(known.node, BoolExpr)
            if truth is not isinstance(value, bool | BoolExpr):
                raise ModelError(f"{caller()}: {self._name}: {name} can't become {value!r}")
            new[name] = boolean(value) if isinstance(value, bool | BoolExpr) else integer(value)
        self._rules.append(Rule(outcome, boolean(when), new, because))
        self._machine.events[self._name] = Event(
            self._name, self._doc, self._params, tuple(self._rules)
        )
        return self

    def otherwise(
        self, outcome: IntEnum, because: str, **writes: IntLike | BoolLike
    ) -> EventBuilder:
        """The last rule: what the event does when nothing stood against it."""
        return self.rule(outcome, True, because, **writes)


@dataclass
class Machine:
    """A lifecycle under construction: its fields and its events."""

    name: str
    doc: str = ""
    fields: dict[str, Field] = field(default_factory=dict)
    events: dict[str, Event] = field(default_factory=dict)

    def enum(self, name: str, kind: type[IntEnum], start: IntEnum, doc: str) -> IntExpr:
        """A field over an enum."""
        values = [int(m) for m in kind]
        node = int_var(name, min(values), max(values))
        self.fields[name] = Field(name, node, integer(start), doc, kind)
        return node

    def natural(self, name: str, doc: str) -> IntExpr:
        """An unbounded count from 0."""
        node = int_var(name, 0)
        self.fields[name] = Field(name, node, integer(0), doc)
        return node

    def flag(self, name: str, doc: str) -> BoolExpr:
        """A truth value that starts False."""
        node = bool_var(name)
        self.fields[name] = Field(name, node, boolean(False), doc)
        return node

    def parameter(self, name: str) -> IntExpr:
        """A natural-number parameter of events."""
        return parameter(name, 0)

    def event(self, name: str, doc: str, *params: IntExpr) -> EventBuilder:
        """Begin an event's table."""
        return EventBuilder(self, name, doc, params)

    def apply(self, event: str, fields: Mapping[str, Expr], **params: IntLike) -> Applied:
        """The event's outcome and writes over the given field values and parameters."""
        table = self.events[event]
        env: dict[int, Expr] = {self.fields[n].node.uid: e for n, e in fields.items()}
        for symbol in table.params:
            env[symbol.uid] = integer(params[str(symbol.data[0])])
        outcome: IntExpr = integer(table.rules[-1].outcome)
        for rule in reversed(table.rules[:-1]):
            outcome = ite(as_bool(substitute(rule.when, env)), integer(rule.outcome), outcome)
        writes = {name: self._new_value(table, name, env) for name in table.written}
        return Applied(outcome, writes)

    def _new_value(self, table: Event, name: str, env: dict[int, Expr]) -> Expr:
        old = self.fields[name].node
        value = substitute(table.rules[-1].writes.get(name, old), env)
        for rule in reversed(table.rules[:-1]):
            when = as_bool(substitute(rule.when, env))
            new = substitute(rule.writes.get(name, old), env)
            if isinstance(new, BoolExpr):
                value = ite(when, new, as_bool(value))
            else:
                value = ite(when, as_int(new), as_int(value))
        return value

    def replaced(self, event: Event) -> Machine:
        """The same machine with one event's table exchanged (a mutant)."""
        return Machine(self.name, self.doc, self.fields, {**self.events, event.name: event})
