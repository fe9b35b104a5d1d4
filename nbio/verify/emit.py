"""A :class:`~nbio.verify.machine.Machine` as plain, typed Python functions.

One function an event: the fields that its rules read or write and its parameters go in, the outcome
and the fields that some rule writes come out. The signature *is* the frame: what a function isn't
given it can't read, what it doesn't return it can't change. No loop, no object, no import but
``Final``: the functions can be proved over all paths and cost a call each.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final, TypeVar

from nbio.verify.expr import BoolExpr, Expr
from nbio.verify.machine import Event, Machine, Rule
from nbio.verify.source import to_source

WIDTH: Final = 100
E = TypeVar("E", bound=IntEnum)


def emit_machine(machine: Machine, outcomes: type[E], docs: Mapping[E, str], header: str) -> str:
    """Python source of the machine; ``header`` is the module's docstring text."""
    parts = [f'"""{header}"""\n\nfrom typing import Final\n']
    for kind in _kinds(machine):
        lines = [f"{m.name}: Final = {m.value}" for m in kind]
        doc = (kind.__doc__ or kind.__name__).strip().splitlines()[0]
        parts.append("\n".join([f"# {doc}", *lines]) + "\n")
    lines = []
    for member in outcomes:
        lines += [f"{member.name}: Final = {member.value}", f'"""{docs[member].capitalize()}."""']
    parts.append("\n".join(["# What an event came to; below zero it was refused.", *lines]) + "\n")
    functions = [_function(machine, event) for event in machine.events.values()]
    names = [f'    "{n}",' for n in sorted(machine.events)]
    functions.append("\n".join(["EVENTS: Final = (", *names, ")"]) + "\n")
    functions.append(_frames(machine))
    names = [f'    {m.value}: "{m.name}",' for m in outcomes]
    functions.append("\n".join(["OUTCOMES: Final = {", *names, "}"]) + "\n")
    return "\n".join(parts) + "\n\n" + "\n\n".join(functions)


def _frames(machine: Machine) -> str:
    """The fields that each function returns after the outcome, for those who call it by name."""
    events = sorted(machine.events.items())
    lines = [f'    "{name}": "{" ".join(frame(machine, event)[1])}",' for name, event in events]
    return "\n".join(["WRITES: Final = {", *lines, "}"]) + "\n"


def _kinds(machine: Machine) -> list[type[IntEnum]]:
    seen: dict[str, type[IntEnum]] = {}
    for known in machine.fields.values():
        if known.kind is not None:
            seen.setdefault(known.kind.__name__, known.kind)
    return list(seen.values())


def frame(machine: Machine, event: Event) -> tuple[list[str], list[str]]:
    """Names of the fields an event's function takes, and of those it returns, in field order."""
    used = _names([*event.expressions()])
    written = set(event.written)
    takes = [n for n in machine.fields if n in used or n in written]
    return takes, [n for n in machine.fields if n in written]


def _names(expressions: list[Expr]) -> set[str]:
    found: set[str] = set()
    stack = list(expressions)
    while stack:
        node = stack.pop()
        if node.op == "var":
            found.add(str(node.data[0]))
        stack.extend(node.args)
    return found


def _function(machine: Machine, event: Event) -> str:
    takes, returns = frame(machine, event)
    fields = machine.fields
    kinds = {n: "bool" if isinstance(f.node, BoolExpr) else "int" for n, f in fields.items()}
    arguments = [f"{n}: {kinds[n]}" for n in takes]
    arguments += [f"{p.data[0]}: int" for p in event.params]
    result = ", ".join(["int", *(kinds[n] for n in returns)])
    lines = _signature(event.name, arguments, result)
    gives = ", ".join(["outcome", *returns])
    lines += [f'    """{event.doc}', "", *_wrapped(f"Returns ({gives})."), '    """']
    for rule in event.rules:
        lines += _branch(rule, returns)
    return "\n".join(lines) + "\n"


def _signature(name: str, arguments: list[str], result: str) -> list[str]:
    one = f"def {name}({', '.join(arguments)}) -> tuple[{result}]:"
    if len(one) <= WIDTH:
        return [one]
    packed = "    " + ", ".join(arguments)
    head, tail = f"def {name}(", f") -> tuple[{result}]:"
    if len(packed) <= WIDTH:
        return [head, packed, tail]
    return [head, *(f"    {a}," for a in arguments), tail]


def _wrapped(text: str) -> list[str]:
    lines, line = [], "   "
    for word in text.split(" "):
        if len(line) + 1 + len(word) > WIDTH:
            lines.append(line)
            line = "   "
        line += " " + word
    return [*lines, line]


def _branch(rule: Rule, returns: list[str]) -> list[str]:
    values = [rule.outcome.name]
    values += [to_source(rule.writes[n]) if n in rule.writes else n for n in returns]
    last = rule.when.op == "bool" and bool(rule.when.data[0])
    test = f"    if {to_source(rule.when)}:"
    lines = [f"    # {rule.because}"] if last else [f"{test}  # {rule.because}"]
    if len(lines[0]) > WIDTH:
        lines = [f"    # {rule.because}", test]
    indent = "    " if last else "        "
    one = f"{indent}return ({', '.join(values)})"
    if len(one) <= WIDTH:
        return [*lines, one]
    return [*lines, f"{indent}return (", *(f"{indent}    {v}," for v in values), f"{indent})"]
