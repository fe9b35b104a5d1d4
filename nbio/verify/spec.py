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

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Final, TypeVar

from nbio.verify.collections import ArrayOf, Bag, Queue, SetOf
from nbio.verify.declared import (
    BoolArray,
    Index,
    IntArray,
    Over,
    Variable,
    check_variable,
    counted,
    first_in,
    inside,
    members_of,
    shape_of,
    starts_of,
)
from nbio.verify.expr import (
    FALSE,
    TRUE,
    BoolExpr,
    BoolLike,
    IntExpr,
    ModelError,
    bool_var,
    boolean,
    caller,
    int_var,
    ite,
)
from nbio.verify.quantifiers import count, exists, expand, forall, sum_of
from nbio.verify.steps import (
    Action,
    ActionBody,
    Fairness,
    Property,
    Step,
    Update,
    check_words,
    stated,
)

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
    fairness: list[Fairness] = field(default_factory=list)
    done_when: BoolExpr = FALSE
    checks_deadlock: bool = True
    starts_where: BoolExpr = TRUE
    constraint: BoolExpr = TRUE
    constraint_because: str = ""

    # -------------------------------------------------------------------- declarations

    def index(
        self, name: str, members: int | Sequence[str] | type[IntEnum], *, symmetric: bool = False
    ) -> Index:
        """An index type of so many members, or of those named.

        ``symmetric``: states that differ by a renaming of its members are counted as one, where
        the model is shown to treat them alike.
        """
        size, names = counted(name, members)
        return Index(name, size, symmetric, names)

    def subsets(self, of: Index) -> Index:
        """An index type whose members are the subsets of another: for an action's parameter.

        :func:`~nbio.verify.collections.member` asks what is in one.
        """
        if of.size > _MOST_MEMBERS:
            raise ModelError(
                f"{caller()}: {of.name} has 2^{of.size} subsets; an index of at most "
                f"{_MOST_MEMBERS} members can be asked for them"
            )
        return Index(f"subsets of {of.name}", 1 << of.size, of.symmetric, subsets_of=of)

    def _declare(self, v: Variable) -> Variable:
        if v.name in self.variables:
            raise ModelError(f"{caller()}: variable {v.name} is declared twice")
        check_variable(v)
        self.variables[v.name] = v
        return v

    def integer(
        self,
        name: str,
        lo: int,
        hi: int,
        init: int | None = None,
        *,
        choices: Sequence[int] = (),
        holds: Index | None = None,
    ) -> IntExpr:
        """A bounded integer, at first ``init`` (0, or the end of the range that is nearest to it).

        ``choices`` gives several start values: one initial state each. ``holds`` says that its
        values are members of that index.
        """
        first = tuple(choices) or (first_in(lo, hi) if init is None else init,)
        self._declare(Variable(name, 1, lo, hi, (first,), truth=False, holds=holds))
        return int_var(name, lo, hi)

    def enum(
        self, name: str, kind: type[IntEnum], init: IntEnum, *, choices: Sequence[IntEnum] = ()
    ) -> IntExpr:
        """A variable over the members of an IntEnum."""
        lo, hi, labels = members_of(kind)
        first = tuple(map(int, choices)) or (int(init),)
        v = Variable(name, 1, lo, hi, (first,), truth=False, labels=labels, enum=kind.__name__)
        self._declare(v)
        return int_var(name, lo, hi)

    def boolean(self, name: str, init: bool = False, *, choices: Sequence[bool] = ()) -> BoolExpr:
        """A truth value."""
        first = tuple(map(int, choices)) or (int(init),)
        self._declare(Variable(name, 1, 0, 1, (first,), truth=True))
        return bool_var(name)

    def integers(
        self,
        name: str,
        over: Over,
        lo: int,
        hi: int,
        init: int | Sequence[int] | None = None,
        *,
        choices: Sequence[int] = (),
        holds: Index | None = None,
        hidden: bool = False,
        labels: Mapping[int, str] | None = None,
    ) -> IntArray:
        """An array of bounded integers; ``init`` for all cells, or one value a cell.

        ``choices``: what each cell may be at first. ``holds`` says that its values are members of
        that index; a ``hidden`` variable (a program counter, a local) is part of the state like any
        other, but stories don't mention it; ``labels`` names some of the values there.
        """
        indices, size = shape_of(over)
        first = starts_of(first_in(lo, hi) if init is None else init, choices, size)
        v = Variable(name, size, lo, hi, first, False, labels, indices, holds, hidden)
        return IntArray(self._declare(v))

    def enums(
        self,
        name: str,
        over: Over,
        kind: type[IntEnum],
        init: IntEnum | Sequence[IntEnum],
        *,
        choices: Sequence[IntEnum] = (),
    ) -> IntArray:
        """An array over the members of an IntEnum."""
        (indices, size), (lo, hi, labels) = shape_of(over), members_of(kind)
        first = starts_of(init, choices, size)
        v = Variable(name, size, lo, hi, first, False, labels, indices, enum=kind.__name__)
        return IntArray(self._declare(v))

    def booleans(
        self,
        name: str,
        over: Over,
        init: bool | Sequence[bool] = False,
        *,
        choices: Sequence[bool] = (),
    ) -> BoolArray:
        """An array of truth values."""
        indices, size = shape_of(over)
        first = starts_of(init, choices, size)
        return BoolArray(self._declare(Variable(name, size, 0, 1, first, True, over=indices)))

    def set(
        self, name: str, of: Index, init: Sequence[int] = (), *, choices: Sequence[bool] = ()
    ) -> SetOf:
        """A set of members of an index, at first of those in ``init``.

        ``choices``: whether each of all may be in it at first.
        """
        return SetOf(self.booleans(name, of, inside(of, init), choices=choices), (), of)

    def sets(
        self,
        name: str,
        over: Over,
        of: Index,
        init: Sequence[int] = (),
        *,
        choices: Sequence[bool] = (),
    ) -> ArrayOf[SetOf]:
        """A set for each member of an index (or of several), at first all alike."""
        indices, size = shape_of(over)
        cells = self.booleans(name, (*indices, of), inside(of, init) * size, choices=choices)
        return ArrayOf(name, len(indices), lambda keys: SetOf(cells, keys, of))

    def bag(self, name: str, of: Index, most: int) -> Bag:
        """How often each member of an index is in it, at most ``most`` times; at first empty."""
        return Bag(self.integers(name, of, 0, most), (), of)

    def bags(self, name: str, over: Over, of: Index, most: int) -> ArrayOf[Bag]:
        """A bag for each member of an index (or of several)."""
        indices, _ = shape_of(over)
        cells = self.integers(name, (*indices, of), 0, most)
        return ArrayOf(name, len(indices), lambda keys: Bag(cells, keys, of))

    def queue(self, name: str, of: Index, most: int) -> Queue:
        """Members of an index, first in, first out; at most ``most`` of them, at first none."""
        return Queue(self._places(name, (), of, most), (), of, most)

    def queues(self, name: str, over: Over, of: Index, most: int) -> ArrayOf[Queue]:
        """A queue for each member of an index (or of several)."""
        indices, _ = shape_of(over)
        cells = self._places(name, indices, of, most)
        return ArrayOf(name, len(indices), lambda keys: Queue(cells, keys, of, most))

    def _places(self, name: str, over: tuple[Index, ...], of: Index, most: int) -> IntArray:
        place, free = self.index(f"place in {name}", most), of.size
        labels = {i: of.show(i) for i in range(of.size)} | {free: "-"}
        return self.integers(name, (*over, place), 0, free, free, holds=of, labels=labels)

    def initially(self, condition: BoolLike) -> None:
        """Of the start values' combinations only those where this holds are initial states."""
        self.starts_where = self.starts_where & condition

    def within(self, condition: BoolLike, because: str) -> None:
        """States where this doesn't hold are judged, but neither kept nor gone on from.

        It cuts an infinite model down to a finite part, as TLC's constraints do; verdicts hold
        within it, and say so.
        """
        if not because:
            raise ModelError(f"{caller()}: within needs a reason (because=...)")
        self.constraint = self.constraint & condition
        self.constraint_because = ", ".join(filter(None, (self.constraint_because, because)))

    # --------------------------------------------------------------------- behaviour

    def action(
        self,
        /,
        *bare: object,
        name: str = "",
        actor: str = "",
        say: str = "",
        fair: str = "",
        fair_for: Sequence[str] | None = None,
        never: bool = False,
        **params: Index,
    ) -> Callable[[Body], Body]:
        """Declare an action.

        ``fair`` is ``""``, ``"weak"`` or ``"strong"``, of each value of the parameters by itself:
        an instance that stays enabled (weak), or is enabled again and again (strong), is taken.
        ``fair_for`` names the parameters of which that is said; it is then enough that the action
        is taken at some values of the others. ``never`` marks an attempt that the design
        should always refuse: that it never happens is then no warning.
        """

        if bare:
            raise ModelError(f"{caller()}: write @m.action(), with brackets")

        def declare(function: Body) -> Body:
            called = name or function.__name__
            self.add_action(called, function, params, actor, say, fair, never, fair_for)
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
        fair_for: Sequence[str] | None = None,
    ) -> None:
        """The plain form of :meth:`action`, for actions made in a loop."""
        place = caller()
        if any(a.name == name for a in self.actions):
            raise ModelError(f"{place}: action {name} is declared twice")
        made = stated(place, name, body, params)
        for update in made.updates:
            if update.variable not in self.variables:
                raise ModelError(
                    f"{update.place}: action {name} sets {update.variable}, which is no variable "
                    f"of the model {self.name}"
                )
        each_of = None if fair_for is None else tuple(fair_for)
        told = replace(made, actor=actor, say=say or name, fair=fair, never=never, fair_for=each_of)
        check_words(told)
        self.actions.append(told)

    def fair(self, kind: str, *actions: str) -> None:
        """The named actions (without names: all so far) are fair taken as one.

        ``m.fair("weak")`` says that something happens as long as something can.
        """
        if kind not in ("weak", "strong"):
            raise ModelError(f"{caller()}: fairness is 'weak' or 'strong', not {kind!r}")
        known = [a.name for a in self.actions]
        for name in actions:
            if name not in known:
                raise ModelError(f"{caller()}: there is no action {name} that could be fair")
        self.fairness.append(Fairness(kind, actions or tuple(known), caller()))

    # -------------------------------------------------------------------- properties

    def _property(
        self, name: str, kind: str, holds: BoolLike, because: str, then: BoolLike = True
    ) -> None:
        if any(p.name == name and p.kind == kind for p in self.properties):
            raise ModelError(f"{caller()}: property {name} is declared twice")
        if not because:
            raise ModelError(f"{caller()}: property {name} needs a reason (because=...)")
        if name == "deadlock" or name.startswith("sometimes "):
            raise ModelError(
                f"{caller()}: a property can't be called {name!r}: reports know another by that "
                f"name"
            )
        self.properties.append(
            Property(name, kind, boolean(holds), because, caller(), boolean(then))
        )

    def always(self, name: str, holds: BoolLike, because: str) -> None:
        """``holds`` is true of every reachable state."""
        self._property(name, "always", holds, because)

    def sometimes(self, name: str, holds: BoolLike, because: str) -> None:
        """``holds`` is true of at least one reachable state (the model is not vacuous)."""
        self._property(name, "sometimes", holds, because)

    def leads_to(self, name: str, premise: BoolLike, then: BoolLike, because: str) -> None:
        """Wherever ``premise`` holds, ``then`` holds there or later, under declared fairness."""
        self._property(name, "leads_to", premise, because, then)

    def done(self, condition: BoolLike) -> None:
        """A state without successor is a deadlock unless this holds of it."""
        self.done_when = boolean(condition)


_MOST_MEMBERS: Final = 16


__all__: Final = [
    "Action",
    "ActionBody",
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
    "sum_of",
]
