"""The final design's world without bounds: any number of slots, requests, parties and blocks.

It is :class:`model.world.World` itself with the actions of ``model/final.py``, run once over
symbols: only the sizes are gone. Slots, requests and blocks are the integers from 0; a party below
0 is a leftover thread, each of some request, so that a request has any number of them. The
lifecycle's tables, the shell's part of each outcome, and the judges are those of the checker.

What differs, and why each difference only adds behaviour:

- Symmetry is given up: requests begin in any order, any free block is allocated, any slot taken.
- Which block of a slot a reader meets first is the first of a queue; in the bounded world it is
  the lowest number. The queue (``first``, ``next``, ``last``, ``seq``, ``tail``) is a ghost that
  follows the writes of ``in`` and ``held``.
- How many blocks a slot really has is not counted anew in each state (there is no counting without
  end) but kept count of: the ghost ``number`` is 0 at first, and follows each write of ``in`` as a
  set's size does when a member enters it, leaves it, or all do. That it is ``held`` is proved.
- The water marks are any numbers with ``0 <= low < high``; a body may have any length.
- Every request may be detached, and every party keeps a view or not.

What it leaves out, as the bounded world does: bytes within a block, and time. And a party keeps at
most one view at a time; but there are as many parties as one likes.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum

from model import judges
from model.final import steps
from model.ground import Ground, Place
from model.lifecycle import SLOT
from model.world import Bounds, Phase, Seen, World
from nbio.verify.declared import BoolArray, Index, IntArray, Variable, members_of, shape_of
from nbio.verify.expr import (
    TRUE,
    UNBOUNDED,
    BoolExpr,
    BoolLike,
    Expr,
    IntExpr,
    IntLike,
    any_of,
    as_bool,
    as_int,
    boolean,
    implies,
    int_var,
    ite,
    parameter,
)
from nbio.verify.machine import Applied, Machine
from nbio.verify.rewriting import rewrite
from nbio.verify.spec import Action, Model, Step, forall
from nbio.verify.steps import ActionBody

OF_STATES = ("P1", "P4", "P7", "P8", "R1", "E1", "V1", "W1", "L2s", "L3s", "B1")
"""The properties that are formulas over a state; the others are judged at the step."""
EVERY = "every_"
"""Begins the name of the symbol that stands for each member of an index without end."""
ENDLESS = Bounds(*([UNBOUNDED] * 7))


class QueueStep(Step):
    """A step that keeps the ghosts beside the writes of ``in``: the queue, and the count."""

    def __init__(self, world: EndlessWorld, step: Step) -> None:
        super().__init__()
        self.world = world
        self.guards, self.updates = step.guards, step.updates
        self.events: set[str] = set()

    def set(self, target: Expr, value: IntLike | BoolLike, when: BoolLike = True) -> None:
        super().set(target, value, when)
        if target.op != "select" or target.data[0] != "in":
            return
        if isinstance(value, IntExpr):
            self._append(as_int(target.args[0]), value, boolean(when))
            self._count(as_int(target.args[0]), value, boolean(when))
        elif not self.world.empties:
            self._uncount(as_int(target.args[0]), boolean(when))

    def _append(self, k: IntExpr, s: IntExpr, when: BoolExpr) -> None:
        w = self.world
        empty = as_int(w.of("held", s)) == 0
        super().set(w.seq[k], w.tail[s], when)
        super().set(w.tail[s], w.tail[s] + 1, when)
        super().set(w.next[w.last[s]], k, when & ~empty)
        super().set(w.first[s], k, when & empty)
        super().set(w.last[s], k, when)

    def _count(self, k: IntExpr, s: IntExpr, when: BoolExpr) -> None:
        """A block enters a slot, and leaves another if it was in one."""
        w = self.world
        before = w.inside[k]
        super().set(w.number[s], w.number[s] + 1, when & (before != s))
        elsewhere = (before >= 0) & (before != s)
        super().set(w.number[before], w.number[before] - 1, when & elsewhere)

    def _uncount(self, each: IntExpr, when: BoolExpr) -> None:
        """Each block of which ``when`` holds leaves its slot. It holds of one, which it names."""
        k = named_by(when, each)
        it = as_bool(rewrite(when, lambda node: k if node.uid == each.uid else None, {}))
        w = self.world
        before = w.inside[k]
        super().set(w.number[before], w.number[before] - 1, it & (before >= 0))


def named_by(when: BoolExpr, each: IntExpr) -> IntExpr:
    """The one member that a condition on every member can hold of: ``... & (k == each)``."""
    for part in when.args if when.op == "and" else (when,):
        if part.op == "eq" and each.uid in {a.uid for a in part.args}:
            (k,) = (a for a in part.args if a.uid != each.uid)
            return as_int(k)
    raise AssertionError(f"{when} doesn't say of which one it holds")


class EndlessModel(Model):
    """A model whose indices have no end: one start value stands for all cells."""

    world: EndlessWorld

    def integers(
        self,
        name: str,
        over: Index | tuple[Index, ...],
        lo: int,
        hi: int,
        init: int | Sequence[int] | None = None,
        *,
        choices: Sequence[int] = (),
        holds: Index | None = None,
        hidden: bool = False,
        labels: Mapping[int, str] | None = None,
    ) -> IntArray:
        assert init is None or isinstance(init, int)
        return IntArray(self._alike(name, over, lo, hi, init or 0, truth=False))

    def enums(
        self,
        name: str,
        over: Index | tuple[Index, ...],
        kind: type[IntEnum],
        init: IntEnum | Sequence[IntEnum],
        *,
        choices: Sequence[IntEnum] = (),
    ) -> IntArray:
        assert isinstance(init, IntEnum)
        lo, hi, _ = members_of(kind)
        return IntArray(self._alike(name, over, lo, hi, init, truth=False))

    def booleans(
        self,
        name: str,
        over: Index | tuple[Index, ...],
        init: bool | Sequence[bool] = False,
        *,
        choices: Sequence[bool] = (),
    ) -> BoolArray:
        assert isinstance(init, bool)
        return BoolArray(self._alike(name, over, 0, 1, init, truth=True))

    def _alike(
        self, name: str, over: Index | tuple[Index, ...], lo: int, hi: int, init: int, truth: bool
    ) -> Variable:
        indices, size = shape_of(over)
        v = Variable(name, size, lo, hi, ((int(init),),), truth, over=indices)
        self.variables[name] = v
        return v

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
        @functools.wraps(body)
        def with_queue(do: Step, **symbols: IntExpr) -> None:
            step = QueueStep(self.world, do)
            self.world.steps.append(step)
            body(step, **symbols)

        super().add_action(name, with_queue, params, actor, say, fair, never, fair_for)


class EndlessGround(Ground):
    """The allocator hands out any free block."""

    def lowest_free(self, k: IntExpr) -> BoolExpr:
        return self.place[k] == Place.FREE


class EndlessWorld(World):
    """The world over symbols."""

    kind = EndlessModel
    on = EndlessGround

    def __init__(self, machine: Machine = SLOT) -> None:
        super().__init__(machine, ENDLESS)
        m = self.m
        assert isinstance(m, EndlessModel)
        m.world = self
        self.steps: list[QueueStep] = []
        self.high, self.low = int_var("high", 1), int_var("low", 0)
        self.leftover_of = m.integers("leftover_of", self.party, 0, UNBOUNDED)
        self.first = m.integers("first", self.slot, 0, UNBOUNDED)
        self.last = m.integers("last", self.slot, 0, UNBOUNDED)
        self.tail = m.integers("tail", self.slot, 0, UNBOUNDED)
        self.number = m.integers("number", self.slot, 0, UNBOUNDED)
        self.empties = False
        self.next = m.integers("next", self.block, 0, UNBOUNDED)
        self.seq = m.integers("seq", self.block, 0, UNBOUNDED)
        steps(self)
        judges.declare(self)

    def using(self, event: str) -> Iterable[Action]:
        """The actions that apply an event of the lifecycle."""
        for action, step in zip(self.m.actions, self.steps, strict=True):
            # Only these two apply theirs without the others' judges: there is no handle yet.
            if event in step.events or (event == "acquire" and action.name in ("begin", "grab")):
                yield action

    def event(
        self, do: Step, r: IntExpr, name: str, seen: Seen | None = None, **params: IntLike
    ) -> Applied:
        assert isinstance(do, QueueStep)
        do.events.add(name)
        return super().event(do, r, name, seen, **params)

    def every(self, index: Index) -> Iterable[IntExpr]:
        return [parameter(EVERY + index.name, 0, index.size - 1)]

    def request_of(self, p: IntExpr) -> IntExpr:
        return ite(self.is_handler(p), p, self.leftover_of[p])

    def is_handler(self, p: IntExpr) -> BoolExpr:
        return p >= 0

    def in_turn(self, r: IntExpr) -> BoolExpr:
        return TRUE

    def first_virgin(self, s: IntExpr) -> BoolExpr:
        return TRUE

    def first_block(self, s: IntExpr) -> IntExpr:
        return self.first[s]

    def really_held(self, s: IntExpr) -> IntExpr:
        return self.number[s]

    def _recycle(self, do: Step, s: IntExpr, recycled: BoolExpr, seen: Seen) -> None:
        self.empties = True
        super()._recycle(do, s, recycled, seen)
        self.empties = False
        # It takes out every block that is in the slot.
        Step.set(do, self.number[s], 0, recycled)

    def write(self, do: Step, s: IntExpr, writes: Mapping[str, Expr]) -> None:
        super().write(do, s, writes)
        if "held" in writes:
            fewer = as_int(writes["held"]) < as_int(self.of("held", s))
            Step.set(do, self.first[s], self.next[self.first[s]], fewer)

    # -------------------------------------------------------------------------- the properties

    def blames(self, action: Action, prop: str) -> list[BoolExpr]:
        """When the judges find that the action breaks a property of steps."""
        fault = self.ground.faults[prop].data[0]
        return [u.when for u in action.updates if u.variable == fault]

    def formulas(self) -> dict[str, BoolExpr]:
        """The properties that are formulas over a state."""
        wanted = {p.name: p.holds for p in self.m.properties if p.kind == "always"}
        found = {name: wanted[name] for name in OF_STATES}
        # With requests without end there is always one that has not begun: no state is quiet. So
        # from less: every request that began is over, and no view is kept.
        return {**found, "P8": implies(self.settled(), self.ground.all_back())}

    def settled(self) -> BoolExpr:
        """No request is under way, and no view is kept: weaker than the judges' ``quiet``."""
        over = forall(
            self.request,
            lambda r: any_of(self.phase[r] == Phase.NEW, self.phase[r] == Phase.DEAD),
        )
        return over & forall(self.keeper, lambda i: self.kept[i] == 0)
