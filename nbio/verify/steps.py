"""What a model says: actions with their guards and updates, and properties."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from nbio.verify.collections import Bag, Queue, SetOf
from nbio.verify.declared import Index
from nbio.verify.expr import (
    TRUE,
    BoolExpr,
    BoolLike,
    Expr,
    IntExpr,
    IntLike,
    ModelError,
    all_of,
    as_int,
    boolean,
    caller,
    integer,
    parameter,
)


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
        self._queues: dict[str, str] = {}

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

    # ---------------------------------------------------------- sets, bags and queues

    def add(self, to: SetOf | Bag, member: IntLike, when: BoolLike = True) -> None:
        """``member`` is in the set, or once more in the bag, where ``when`` holds."""
        self.set(to[member], True if isinstance(to, SetOf) else to[member] + 1, when)

    def remove(self, of: SetOf | Bag, member: IntLike, when: BoolLike = True) -> None:
        """``member`` is not in the set, or once less in the bag (it must be in it)."""
        self.set(of[member], False if isinstance(of, SetOf) else of[member] - 1, when)

    def fill(self, what: SetOf, body: Callable[[IntExpr], BoolLike], when: BoolLike = True) -> None:
        """The set becomes that of all ``i`` of which ``body(i)`` holds (now, before the step)."""
        for i in range(what.of.size):
            self.set(what[i], body(integer(i)), when)

    def push(self, to: Queue, member: IntLike, when: BoolLike = True) -> None:
        """``member`` waits last; ModelError in the search where the queue is full."""
        self._once(to, "push")
        self.set(to[to.size], member, when)

    def pop(self, of: Queue, when: BoolLike = True, *, at: IntLike = 0) -> None:
        """The oldest (``of.head``), or the one in place ``at``, is gone; the rest moves up.

        Nothing happens to an empty queue, or where nobody is in that place.
        """
        self._once(of, "pop")
        last, place = of.most - 1, integer(at)
        for k in range(last):
            self.set(of[k], of[k + 1], boolean(when) & (place <= k))
        self.set(of[last], of.of.size, boolean(when) & (place <= last))

    def _once(self, queue: Queue, what: str) -> None:
        key = str(queue[0])
        before = self._queues.setdefault(key, what)
        if before != what:
            raise ModelError(
                f"{caller()}: an action does {before} and {what} on the queue {queue.name}, but "
                f"both would start from the queue before the step; make them two actions"
            )


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
    fair_for: tuple[str, ...] | None = None

    def fill(self, text: str, values: Sequence[int]) -> str:
        """``text`` with ``{param}`` replaced by the instance's values."""
        pairs = zip(self.params, values, strict=True)
        return text.format(**{n: index.show(v) for (n, index), v in pairs})


@dataclass(frozen=True)
class Fairness:
    """Actions that are fair taken as one, at whatever parameters."""

    kind: str
    actions: tuple[str, ...]
    place: str


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


def stated(place: str, name: str, body: ActionBody, params: Mapping[str, Index]) -> Action:
    """What an action's function says, called once with symbols for its parameters."""
    # What has a default is the author's own: `lambda do, k=k: ...` in a loop.
    takes = list(inspect.signature(body).parameters.values())[1:]
    wanted = [p.name for p in takes if p.default is p.empty]
    if wanted != list(params):
        raise ModelError(
            f"{place}: action {name} takes {wanted} but is declared over {list(params)}"
        )
    step = Step()
    body(step, **{n: parameter(n, 0, i.size - 1) for n, i in params.items()})
    guard, updates = all_of(*step.guards), tuple(step.updates)
    return Action(name, tuple(params.items()), guard, updates, "", name, place)


def check_words(action: Action) -> None:
    """ModelError where an action's fairness or texts name something that isn't there."""
    names = [name for name, _ in action.params]
    if action.fair not in ("", "weak", "strong"):
        raise ModelError(
            f"{action.place}: action {action.name}: fairness is 'weak' or 'strong', "
            f"not {action.fair!r}"
        )
    for each in action.fair_for or ():
        if each not in names or not action.fair:
            raise ModelError(f"{action.place}: action {action.name} can't be fair for each {each}")
    for text in (action.actor, action.say):
        try:
            text.format(**dict.fromkeys(names, ""))
        except (KeyError, IndexError, ValueError) as error:
            known = ", ".join(f"{{{n}}}" for n in names) or "no parameter"
            raise ModelError(
                f"{action.place}: action {action.name} says {text!r}, but it can only name {known}"
            ) from error
