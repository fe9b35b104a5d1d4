"""What a model says: actions with their guards and updates, and properties."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    as_int,
    boolean,
    caller,
    integer,
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

    def pop(self, of: Queue, when: BoolLike = True) -> None:
        """The oldest (``of.head``) is gone; nothing happens to an empty queue."""
        self._once(of, "pop")
        for k in range(of.most - 1):
            self.set(of[k], of[k + 1], when)
        self.set(of[of.most - 1], of.of.size, when)

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

    def fill(self, text: str, values: Sequence[int]) -> str:
        """``text`` with ``{param}`` replaced by the instance's values."""
        pairs = zip(self.params, values, strict=True)
        return text.format(**{n: index.show(v) for (n, index), v in pairs})


@dataclass(frozen=True)
class Property:
    """A named claim of a kind (``always``, ``sometimes``, ``leads_to``) with the reason for it."""

    name: str
    kind: str
    holds: BoolExpr
    because: str
    place: str
    then: BoolExpr = TRUE
