"""The language a model is stated in: index types, variables, actions, properties.

A model is built by calling methods of :class:`Model`; each action is a Python function that is
called *once*, with symbolic parameters, and says when it may happen and what it changes::

    m = Model("counter")
    proc = m.index("proc", 2, symmetric=True)
    at = m.integers("at", over=proc, lo=0, hi=3)

    @m.action(p=proc, actor="process {p}")
    def step(do: Step, p: IntExpr) -> None:
        do.when(at[p] < 3)
        do.set(at[p], at[p] + 1)

    m.always("bounded", at[0] + at[1] <= 6, because="two counters to 3")

Every right-hand side reads the state *before* the action; all updates happen at once.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Final, TypeVar

from nbio.verify.expr import (
    FALSE,
    TRUE,
    BoolExpr,
    BoolLike,
    Expr,
    IntExpr,
    IntLike,
    ModelError,
    all_of,
    as_bool,
    as_int,
    bool_var,
    boolean,
    caller,
    int_var,
    integer,
    ite,
    parameter,
    quantifier,
    select_bool,
    select_int,
    substitute,
    total,
)


@dataclass(frozen=True)
class Index:
    """An index type ``0..size-1``; ``symmetric`` says that its members are interchangeable."""

    name: str
    size: int
    symmetric: bool = False


@dataclass(frozen=True)
class Variable:
    """A declared variable: ``size`` cells of ``lo..hi`` (``labels`` for enums, bool for truth)."""

    name: str
    size: int
    lo: int
    hi: int
    init: tuple[tuple[int, ...], ...]
    truth: bool
    labels: Mapping[int, str] | None = None
    over: tuple[Index, ...] = ()
    holds: Index | None = None
    hidden: bool = False

    def cell_name(self, cell: int) -> str:
        """``state[0]``, ``pc[1,0]`` or the bare name of a scalar."""
        if not self.over:
            return self.name
        places: list[str] = []
        for index in reversed(self.over):
            places.append(str(cell % index.size))
            cell //= index.size
        return f"{self.name}[{','.join(reversed(places))}]"

    def show(self, value: int) -> str:
        """A value as a person would write it."""
        if self.truth:
            return "yes" if value else "no"
        return (self.labels or {}).get(value, str(value))


class _Array:
    def __init__(self, variable: Variable) -> None:
        self.variable = variable

    def _flat(self, key: IntLike | tuple[IntLike, ...]) -> IntExpr:
        keys = key if isinstance(key, tuple) else (key,)
        over = self.variable.over
        if len(keys) != len(over):
            raise ModelError(
                f"{caller()}: {self.variable.name} takes {len(over)} indices, got {len(keys)}"
            )
        flat = integer(0)
        for part, index in zip(keys, over, strict=True):
            value = integer(part)
            if value.op == "int" and not 0 <= value.lo < index.size:
                raise ModelError(
                    f"{caller()}: {self.variable.name}[{value}]: index {index.name} has only "
                    f"0..{index.size - 1}"
                )
            flat = flat * index.size + value
        return flat


class IntArray(_Array):
    """An array of bounded integers or enum members; ``array[i]`` is an expression."""

    def __getitem__(self, key: IntLike | tuple[IntLike, ...]) -> IntExpr:
        v = self.variable
        return select_int(v.name, v.size, self._flat(key), v.lo, v.hi)


class BoolArray(_Array):
    """An array of booleans; ``array[i]`` is an expression."""

    def __getitem__(self, key: IntLike | tuple[IntLike, ...]) -> BoolExpr:
        v = self.variable
        return select_bool(v.name, v.size, self._flat(key))


@dataclass(frozen=True)
class Update:
    """``target := value`` where ``when`` holds; a later update of the same cell wins."""

    variable: str
    index: IntExpr | None
    value: Expr
    when: BoolExpr
    place: str


class Step:
    """What an action says of itself: when it may happen, and what it changes."""

    def __init__(self) -> None:
        self.guards: list[BoolExpr] = []
        self.updates: list[Update] = []

    def when(self, *conditions: BoolLike) -> None:
        """The action may happen only where all the conditions hold."""
        self.guards.extend(map(boolean, conditions))

    def set(self, target: Expr, value: IntLike | BoolLike, when: BoolLike = True) -> None:
        """``target`` (a variable or ``array[index]``) becomes ``value`` where ``when`` holds."""
        if isinstance(target, BoolExpr):
            if not isinstance(value, BoolExpr | bool):
                raise ModelError(f"{caller()}: {target} is a boolean, not {value!r}")
            new: Expr = boolean(value)
        else:
            if isinstance(value, BoolExpr | bool):
                raise ModelError(f"{caller()}: {target} is an integer, not {value!r}")
            new = integer(value)
        if target.op not in ("var", "select"):
            raise ModelError(f"{caller()}: {target} is not a variable, so it can't be set")
        index = as_int(target.args[0]) if target.op == "select" else None
        self.updates.append(Update(str(target.data[0]), index, new, boolean(when), caller()))


@dataclass(frozen=True)
class Action:
    """A parameterised action: a name, who does it, its parameters, guard and updates."""

    name: str
    params: tuple[tuple[str, Index], ...]
    guard: BoolExpr
    updates: tuple[Update, ...]
    actor: str
    say: str
    place: str
    fair: str = ""
    never: bool = False

    def fill(self, text: str, values: Sequence[int]) -> str:
        """``text`` with ``{param}`` replaced by the instance's values."""
        return text.format(**{n: v for (n, _), v in zip(self.params, values, strict=True)})


@dataclass(frozen=True)
class Property:
    """A named claim of a kind (``always``, ``sometimes``, ``leads_to``) with the reason for it."""

    name: str
    kind: str
    holds: BoolExpr
    because: str
    place: str
    then: BoolExpr = TRUE


ActionBody = Callable[..., None]
Body = TypeVar("Body", bound=ActionBody)


@dataclass
class Model:
    """A state machine under construction. ``constants`` are shown with every verdict."""

    name: str
    doc: str = ""
    constants: dict[str, int] = field(default_factory=dict)
    variables: dict[str, Variable] = field(default_factory=dict)
    actions: list[Action] = field(default_factory=list)
    properties: list[Property] = field(default_factory=list)
    done_when: BoolExpr = FALSE
    checks_deadlock: bool = True
    constraint: BoolExpr = TRUE

    # -------------------------------------------------------------------- declarations

    def index(self, name: str, size: int, *, symmetric: bool = False) -> Index:
        """An index type with ``size`` members."""
        if size < 1:
            raise ModelError(f"{caller()}: index {name} needs at least one member, got {size}")
        return Index(name, size, symmetric)

    def _declare(self, v: Variable) -> Variable:
        if v.name in self.variables:
            raise ModelError(f"{caller()}: variable {v.name} is declared twice")
        for choices in v.init:
            for value in choices:
                if not v.lo <= value <= v.hi:
                    raise ModelError(
                        f"{caller()}: {v.name} starts as {value}, outside its range {v.lo}..{v.hi}"
                    )
        self.variables[v.name] = v
        return v

    def _array(
        self,
        name: str,
        over: Index | tuple[Index, ...],
        lo: int,
        hi: int,
        init: int | Sequence[int],
        kind: type[IntEnum] | None,
        truth: bool,
        holds: Index | None,
        hidden: bool = False,
    ) -> Variable:
        indices = over if isinstance(over, tuple) else (over,)
        size = 1
        for index in indices:
            size *= index.size
        cells = [init] * size if isinstance(init, int) else list(init)
        if len(cells) != size:
            raise ModelError(f"{caller()}: {name} has {size} cells, got {len(cells)} start values")
        starts = tuple((int(c),) for c in cells)
        labels = {int(m): m.name for m in kind} if kind else None
        return self._declare(
            Variable(name, size, lo, hi, starts, truth, labels, indices, holds, hidden)
        )

    def integer(
        self, name: str, lo: int, hi: int, init: int = 0, *, choices: Sequence[int] = ()
    ) -> IntExpr:
        """A bounded integer; ``choices`` gives several start values (one initial state each)."""
        start = tuple(choices) or (init,)
        self._declare(Variable(name, 1, lo, hi, (start,), truth=False))
        return int_var(name, lo, hi)

    def enum(self, name: str, kind: type[IntEnum], init: IntEnum) -> IntExpr:
        """A variable over the members of an IntEnum."""
        values = sorted(int(m) for m in kind)
        labels = {int(m): m.name for m in kind}
        self._declare(
            Variable(name, 1, values[0], values[-1], ((int(init),),), truth=False, labels=labels)
        )
        return int_var(name, values[0], values[-1])

    def boolean(self, name: str, init: bool = False) -> BoolExpr:
        """A truth value."""
        self._declare(Variable(name, 1, 0, 1, ((int(init),),), truth=True))
        return bool_var(name)

    def integers(
        self,
        name: str,
        over: Index | tuple[Index, ...],
        lo: int,
        hi: int,
        init: int | Sequence[int] = 0,
        *,
        holds: Index | None = None,
        hidden: bool = False,
        labels: Mapping[int, str] | None = None,
    ) -> IntArray:
        """An array of bounded integers.

        ``holds`` says that its values are members of that index; a ``hidden`` variable (a program
        counter, a local) is part of the state like any other, but stories don't mention it;
        ``labels`` names some of the values there.
        """
        found = self._array(name, over, lo, hi, init, None, truth=False, holds=holds, hidden=hidden)
        self.variables[name] = replace(found, labels=labels)
        return IntArray(self.variables[name])

    def enums(
        self, name: str, over: Index | tuple[Index, ...], kind: type[IntEnum], init: IntEnum
    ) -> IntArray:
        """An array over the members of an IntEnum."""
        values = sorted(int(m) for m in kind)
        return IntArray(
            self._array(name, over, values[0], values[-1], int(init), kind, truth=False, holds=None)
        )

    def booleans(
        self, name: str, over: Index | tuple[Index, ...], init: bool | Sequence[bool] = False
    ) -> BoolArray:
        """An array of truth values."""
        start = int(init) if isinstance(init, bool) else [int(b) for b in init]
        return BoolArray(self._array(name, over, 0, 1, start, None, truth=True, holds=None))

    # --------------------------------------------------------------------- behaviour

    def action(
        self,
        *,
        name: str = "",
        actor: str = "",
        say: str = "",
        fair: str = "",
        never: bool = False,
        **params: Index,
    ) -> Callable[[Body], Body]:
        """Declare an action.

        ``fair`` is ``""``, ``"weak"`` or ``"strong"``, of each value of the parameters by itself:
        an instance that stays enabled (weak), or is enabled again and again (strong), is taken.
        ``never`` marks an attempt that the design
        should always refuse: that it never happens is then no warning.
        """

        def declare(function: Body) -> Body:
            self.add_action(name or function.__name__, function, params, actor, say, fair, never)
            return function

        return declare

    def add_action(
        self,
        name: str,
        body: ActionBody,
        params: Mapping[str, Index],
        actor: str = "",
        say: str = "",
        fair: str = "",
        never: bool = False,
    ) -> None:
        """The plain form of :meth:`action`, for actions made in a loop."""
        place = caller()
        wanted = list(inspect.signature(body).parameters)[1:]
        if wanted != list(params):
            raise ModelError(
                f"{place}: action {name} takes {wanted} but is declared over {list(params)}"
            )
        if fair not in ("", "weak", "strong"):
            raise ModelError(
                f"{place}: action {name}: fairness is 'weak' or 'strong', not {fair!r}"
            )
        if any(a.name == name for a in self.actions):
            raise ModelError(f"{place}: action {name} is declared twice")
        step = Step()
        symbols = {n: parameter(n, 0, i.size - 1) for n, i in params.items()}
        body(step, **symbols)
        for update in step.updates:
            if update.variable not in self.variables:
                raise ModelError(
                    f"{update.place}: action {name} sets {update.variable}, which is no variable "
                    f"of the model {self.name}"
                )
        pairs = tuple(params.items())
        guard, updates = all_of(*step.guards), tuple(step.updates)
        told = say or name
        self.actions.append(Action(name, pairs, guard, updates, actor, told, place, fair, never))

    # -------------------------------------------------------------------- properties

    def _property(self, name: str, kind: str, holds: BoolLike, because: str) -> None:
        if any(p.name == name and p.kind == kind for p in self.properties):
            raise ModelError(f"{caller()}: property {name} is declared twice")
        if not because:
            raise ModelError(f"{caller()}: property {name} needs a reason (because=...)")
        self.properties.append(Property(name, kind, boolean(holds), because, caller()))

    def always(self, name: str, holds: BoolLike, because: str) -> None:
        """``holds`` is true of every reachable state."""
        self._property(name, "always", holds, because)

    def sometimes(self, name: str, holds: BoolLike, because: str) -> None:
        """``holds`` is true of at least one reachable state (the model is not vacuous)."""
        self._property(name, "sometimes", holds, because)

    def leads_to(self, name: str, premise: BoolLike, then: BoolLike, because: str) -> None:
        """Wherever ``premise`` holds, ``then`` holds there or later, under declared fairness."""
        if not because:
            raise ModelError(f"{caller()}: property {name} needs a reason (because=...)")
        self.properties.append(
            Property(name, "leads_to", boolean(premise), because, caller(), boolean(then))
        )

    def done(self, condition: BoolLike) -> None:
        """A state without successor is a deadlock unless this holds of it."""
        self.done_when = boolean(condition)


def _each(op: str, index: Index, body: Callable[[IntExpr], BoolLike]) -> Expr:
    # The bound variable's name must differ from enclosing ones: depth is read off the body.
    bound = parameter(f"{index.name}_", 0, index.size - 1)
    inner = boolean(body(bound))
    if bound.uid in _bound_in(inner):
        bound = parameter(f"{index.name}_{len(_bound_in(inner))}_", 0, index.size - 1)
        inner = boolean(body(bound))
    return quantifier(op, bound, index.size, inner)


def _bound_in(expr: Expr) -> set[int]:
    seen: set[int] = set()
    found: set[int] = set()
    stack = [expr]
    while stack:
        node = stack.pop()
        if node.uid in seen:
            continue
        seen.add(node.uid)
        if node.op in ("forall", "exists", "count"):
            found.add(node.args[0].uid)
        stack.extend(node.args)
    return found


def forall(index: Index, body: Callable[[IntExpr], BoolLike]) -> BoolExpr:
    """``body(i)`` holds of every member of the index."""
    return as_bool(_each("forall", index, body))


def exists(index: Index, body: Callable[[IntExpr], BoolLike]) -> BoolExpr:
    """``body(i)`` holds of some member of the index."""
    return as_bool(_each("exists", index, body))


def count(index: Index, body: Callable[[IntExpr], BoolLike]) -> IntExpr:
    """Of how many members of the index ``body(i)`` holds."""
    return as_int(_each("count", index, body))


def expand(expr: Expr) -> Expr:
    """Quantifiers written out: every visitor but Z3's works on this form."""
    memo: dict[int, Expr] = {}

    def walk(node: Expr) -> Expr:
        found = memo.get(node.uid)
        if found is None:
            found = memo[node.uid] = _expanded(node, walk)
        return found

    return walk(expr)


def _expanded(node: Expr, walk: Callable[[Expr], Expr]) -> Expr:
    from nbio.verify.expr import any_of, rebuild

    if node.op not in ("forall", "exists", "count"):
        args = [walk(a) for a in node.args]
        same = all(a is b for a, b in zip(args, node.args, strict=True))
        return node if same else rebuild(node, args)
    bound, size = node.args[0], int(node.data[0])
    body = walk(node.args[1])
    parts = [as_bool(substitute(body, {bound.uid: integer(i)})) for i in range(size)]
    if node.op == "count":
        return total(parts)
    return all_of(*parts) if node.op == "forall" else any_of(*parts)


__all__: Final = [
    "Action",
    "BoolArray",
    "Index",
    "IntArray",
    "Model",
    "Property",
    "Step",
    "Update",
    "Variable",
    "count",
    "exists",
    "expand",
    "forall",
    "ite",
]
