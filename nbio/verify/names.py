"""What a model calls by name, and nothing answers to: said before anything is searched.

Expressions are built freely, so a variable may come from another model, a parameter from another
action, a member from another enum. Taken as numbers they would be compared without a word.
"""

from __future__ import annotations

from collections.abc import Iterator

from nbio.verify.declared import Index, Variable
from nbio.verify.expr import Expr, ModelError, parameter
from nbio.verify.spec import Model
from nbio.verify.steps import Action

_COMPARES = ("eq", "lt", "le")


def symbols_of(action: Action) -> list[int]:
    """The nodes (by ``uid``) that stand for an action's parameters."""
    return [parameter(n, 0, i.size - 1).uid for n, i in action.params]


def check_names(model: Model) -> None:
    """ModelError, with the place, for a variable, parameter or enum member from somewhere else."""
    _check_indices(model)
    for p in model.properties:
        for part in (p.holds, p.then):
            _check(f"{p.place}: {p.kind} {p.name}", part, model, set())
    for a in model.actions:
        own, where = set(symbols_of(a)), f"{a.place}: action {a.name}"
        _check(where, a.guard, model, own)
        for update in a.updates:
            for read in (update.index, update.value, update.when):
                if read is not None:
                    _check(where, read, model, own)
            _check_members(where, update.variable, update.value, model.variables[update.variable])


def never_equal(expr: Expr, model: Model) -> Iterator[str]:
    """Comparisons of a variable with a number outside its range: they say nothing, in words."""
    for node, _ in _nodes(expr):
        if node.op != "eq":
            continue
        for cell, other in (node.args, node.args[::-1]):
            if cell.op in ("var", "select") and other.op == "int":
                v = model.variables[str(cell.data[0])]
                if not v.lo <= other.lo <= v.hi:
                    yield f"compares {cell} with {other}, but it is always {v.lo}..{v.hi}"


def _check_indices(model: Model) -> None:
    """ModelError for two index types of one name where a symmetry would rename them as one."""
    known: dict[str, Index] = {}
    used = [i for v in model.variables.values() for i in (*v.over, v.holds) if i is not None]
    for index in (*used, *(i for a in model.actions for _, i in a.params)):
        before = known.setdefault(index.name, index)
        if before != index and (before.symmetric or index.symmetric):
            raise ModelError(
                f"{model.name}: two index types are called {index.name}, of {before.size} and of "
                f"{index.size} members, and one is symmetric: give one of them another name"
            )


def _check(where: str, expr: Expr, model: Model, own: set[int]) -> None:
    for node, bound in _nodes(expr):
        name = str(node.data[0]) if node.data else ""
        if node.op == "param" and node.uid not in bound | own:
            raise ModelError(f"{where} uses {name}, which is another action's parameter")
        if node.op in ("var", "select") and name not in model.variables:
            raise ModelError(f"{where}: unknown variable {name}: {model.name} has no such")
        if node.op in _COMPARES:
            for cell, other in (node.args, node.args[::-1]):
                v = model.variables.get(str(cell.data[0])) if cell.op in ("var", "select") else None
                if v is not None:
                    _check_members(where, str(cell), other, v)


def _check_members(where: str, what: str, value: Expr, v: Variable) -> None:
    """An enum's variable meets members of that enum only."""
    if not v.enum:
        return
    for constant in _constants(value):
        said = str(constant.data[-1])
        if len(constant.data) > 1 and (v.labels or {}).get(constant.lo) != said:
            members = ", ".join((v.labels or {}).values())
            raise ModelError(
                f"{where}: {what} is a {v.enum} ({members}), and {said} is none of them"
            )


def _constants(value: Expr) -> Iterator[Expr]:
    """The constants that a value may be, through choices."""
    if value.op == "int":
        yield value
    elif value.op == "ite":
        yield from _constants(value.args[1])
        yield from _constants(value.args[2])


def _nodes(expr: Expr) -> Iterator[tuple[Expr, frozenset[int]]]:
    """Every node, and the parameters that a quantifier around it binds."""
    seen: set[tuple[int, frozenset[int]]] = set()
    stack: list[tuple[Expr, frozenset[int]]] = [(expr, frozenset())]
    while stack:
        node, bound = stack.pop()
        if (node.uid, bound) in seen:
            continue
        seen.add((node.uid, bound))
        if node.op in ("forall", "exists", "count"):
            bound |= {node.args[0].uid}
        yield node, bound
        stack.extend((a, bound) for a in node.args)
