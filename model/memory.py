"""The final design at the grain of memory steps, made from the same tables and the same world.

Every step of ``model/final.py`` that makes an event is taken apart, as the pool's locked sections
do it: take the lock; load each field that the event's function takes; store each field that it
returns; move blocks and slots; let go of the lock; then free each block, and wake the sleeper. A
copy begins and ends in steps of its own. What an event means, who may make it and how it is
judged is not said again here: the bodies of ``final.py``'s actions are run over what was loaded,
and the observers are the same. The slot's books (R1, E1, ...) are judged when nobody is inside an
operation; what touches blocks, slots and bytes in every state.

Threads: the loop (with the framework's release and the drain of the queue), each handler in a
thread of its own, the leftovers. The garbage collector's finalizer *interrupts* any of them at
any step: it queues (``queued=1``), or, as a control, takes the lock itself; ``locked=0`` takes
the lock out.

Left out: attempts that final.py marks as never to happen, and posting a resume to the loop.
"""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from model import judges
from model.capturing import Captured, Capturing
from model.ground import Ground
from model.world import Bounds, Doing, Seen, World, put
from nbio.verify.emit import frame
from nbio.verify.expr import (
    FALSE,
    BoolExpr,
    BoolLike,
    Expr,
    IntExpr,
    IntLike,
    all_of,
    as_bool,
    as_int,
    boolean,
    integer,
    parameter,
)
from nbio.verify.machine import Applied, Machine
from nbio.verify.spec import ActionBody, BoolArray, IntArray, Step, forall

AT_REST: Final = ("P8", "R1", "E1", "V1", "W1", "L2s", "L3s", "B1")
"""Properties that compare the slots' fields with what really is: true between operations."""
LOOP: Final = ("loop", "framework", "finalizer")


@dataclass(frozen=True)
class Making:
    """The event that a body is found to make: name, parameters, through whose handle."""

    name: str
    params: Mapping[str, IntLike]
    r: IntExpr
    slot: IntExpr


class MemoryWorld(World):
    """A world in which a thread at a time is looked at, and events are what it has loaded."""

    kind = Capturing

    def __init__(self, machine: Machine, bounds: Bounds) -> None:
        super().__init__(machine, bounds)
        size = 1 + self.party.size + 1
        self.thread = self.m.index("thread", size)
        self.collector = size - 1
        self.regs = {n: self._register(n) for n in machine.fields}
        self.lock = self.m.integer("lock", 0, size)
        self.decided = self.m.booleans("decided", self.thread)
        self.pending = self.m.booleans("to_free", (self.thread, self.block))
        self.ringing = self.m.integers("to_wake", self.thread, 0, self.party.size)
        self.begun_copy = self.m.booleans("copying", self.party)
        self.victim = self.m.integer("interrupted", 0, size)
        self.queue = self.m.booleans("queued", self.request)
        # Set while a body is run: by whom, on what outcome; and the event that it made.
        self.at: int | None = None
        self.guessing: IntExpr | None = None
        self.making: Making | None = None
        self.ground: DeferringGround = DeferringGround(self)

    def declare_places(self, count: int) -> None:
        """How many places the longest program has."""
        self.pc = self.m.integers("pc", self.thread, 0, count, hidden=True)

    def _register(self, name: str) -> IntArray | BoolArray:
        known = self.m.variables[name]
        if known.truth:
            return self.m.booleans(f"r_{name}", self.thread)
        return self.m.integers(f"r_{name}", self.thread, known.lo, known.hi, hidden=True)

    def of(self, name: str, s: IntExpr) -> Expr:
        """A field of a slot; what the thread loaded of it, while it is inside an event."""
        making = self.making
        if self.at is None or self.guessing is not None or making is None:
            return self.fields[name][s]
        loaded = frame(self.machine, self.machine.events[making.name])[0]
        return self.regs[name][self.at] if name in loaded else self.fields[name][s]

    def event(
        self, do: Step, r: IntExpr, name: str, seen: Seen | None = None, **params: IntLike
    ) -> Applied:
        if self.guessing is not None:
            self.making = Making(name, params, r, self.handle[r])
            return Applied(self.guessing, {})
        return super().event(do, r, name, seen, **params)

    def write(self, do: Step, s: IntExpr, writes: Mapping[str, Expr]) -> None:
        """The fields were stored before; what is left is to tell the feeder."""
        if "paused" in writes:
            resumed = as_bool(self.of("paused", s)) & ~as_bool(writes["paused"])
            for r in range(self.request.size):
                do.set(self.reading[r], True, resumed & (self.ground.owner[s] == r))

    def _call(self, do: Step, s: IntExpr, happened: BoolExpr) -> None:
        assert self.at is not None
        for p in range(self.party.size):
            r = self.request_of(integer(p))
            here = (self.handle[r] == s) & (self.stamp[r] == as_int(self.of("generation", s)))
            asleep = here & (self.doing[p] == Doing.WAITING)
            do.set(self.ringing[self.at], p + 1, happened & asleep)

    def rests(self, t: int) -> BoolExpr:
        """Thread ``t`` is inside no operation, and not interrupted."""
        clear = forall(self.block, lambda k: ~self.pending[t, k])
        return all_of(self.pc[t] == 0, self.ringing[t] == 0, self.victim != t + 1, clear)

    @property
    def at_rest(self) -> BoolExpr:
        """Every thread is."""
        return all_of(*(self.rests(t) for t in range(self.thread.size)), self.victim == 0)


class DeferringGround(Ground):
    """The world's ground, where a block is freed by a later step of the thread."""

    def __init__(self, w: MemoryWorld) -> None:
        self.__dict__.update(vars(w.ground))
        self._w = w

    def free(self, do: Step, k: IntLike, when: BoolLike = True, seen: BoolLike = False) -> None:
        assert self._w.at is not None
        do.set(self._w.pending[self._w.at, integer(k)], True, when)

    def free_now(self, do: Step, k: int) -> None:
        """Free it."""
        super().free(do, k, True, self._w.seen(integer(k)))


# ------------------------------------------------------------------------- taking apart


@dataclass(frozen=True)
class Part:
    """An instance of an action: who takes it, what must hold first, and the event it makes."""

    label: str
    say: str
    thread: int
    body: ActionBody
    first: BoolExpr
    told: tuple[int, ...]
    making: Making | None


class Weaver:
    """Declares the memory steps of every captured action, thread by thread."""

    def __init__(
        self, w: MemoryWorld, m: Capturing, locked: bool, queued: bool, operations: int
    ) -> None:
        self.w, self.m, self.locked, self.queued = w, m, locked, queued
        self.most = operations
        self.left = m.integers("left", w.thread, 0, operations, init=operations, hidden=True)
        self.places = [1] * w.thread.size

    def weave(self) -> None:
        """Take every captured action apart; those that make no event are left whole."""
        parts = [
            self._part(a, values)
            for a in self.m.captured
            for values in itertools.product(*(range(i.size) for i in a.params.values()))
        ]
        lengths = [0] * self.w.thread.size
        for part in parts:
            if part.making is not None and part.first is not FALSE:
                takes, returns = frame(self.w.machine, self.w.machine.events[part.making.name])
                lengths[part.thread] += len(takes) + len(returns) + 2
        self.w.declare_places(max(lengths))
        for part in parts:
            if part.first is FALSE:
                continue
            if part.making is None:
                self._whole(part)
            else:
                self._section(part, part.making)

    def _part(self, action: Captured, values: tuple[int, ...]) -> Part:
        w, probe, body = self.w, Step(), _bound(action, values)
        outcome = parameter("outcome", -11, 5)
        w.at, w.making, w.guessing = 0, None, outcome
        body(probe)
        making = w.making
        w.at = w.making = w.guessing = None
        if action.name == "begin":
            making = Making("acquire", {}, integer(values[0]), integer(values[1]))
        told = tuple(n for n, g in enumerate(probe.guards) if _mentions(g, outcome))
        first = all_of(*(g for n, g in enumerate(probe.guards) if n not in told))
        label = f"{action.name}({','.join(map(str, values))})"
        say = action.say.format(**dict(zip(action.params, values, strict=True)))
        thread = 0 if action.actor in LOOP else 1 + values[0]
        if action.name == "finalize" and not self.queued:
            thread = w.collector
        return Part(label, say, thread, body, first, told, making)

    def _may_begin(self, part: Part) -> BoolExpr:
        """What must hold besides, before an event is begun."""
        w, (name, _, rest) = self.w, part.label.partition("(")
        number = int(rest[0])
        if name == "copied":
            return w.begun_copy[number]
        if name == "release":
            # The handler has returned; a thread that goes on is a leftover.
            return w.rests(1 + number)
        if name == "finalize":
            return w.queue[number] if self.queued else w.victim > 0
        return boolean(True)

    def _whole(self, part: Part) -> None:
        def step(do: Step) -> None:
            do.when(self.w.rests(part.thread))
            part.body(do)

        self._step(part.label, part.say, part.thread, step)

    def _section(self, part: Part, making: Making) -> None:
        w, t, label = self.w, part.thread, part.label
        takes, returns = frame(w.machine, w.machine.events[making.name])
        may, here = self._may_begin(part), self._place(t)

        def begin(do: Step) -> None:
            do.when(w.pc[t] == 0 if t == w.collector else w.rests(t), part.first, may)
            if self.locked:
                do.when(w.lock == 0)
                do.set(w.lock, t + 1)
            if self.most:
                do.when(self.left[t] > 0)
                do.set(self.left[t], self.left[t] - 1)
            do.set(w.pc[t], here)

        self._step(f"{label} locks", f"{part.say}: takes the lock", t, begin)
        place = here
        for name in takes:
            place = self._then(label, f"loads {name}", t, place, self._load(t, name, making))
        for n, name in enumerate(returns):
            store = self._store(t, name, making, None if n else part)
            place = self._then(label, f"stores {name}", t, place, store)
        place = self._then(label, "moves blocks and slots", t, place, self._commit(part, making))
        self._then(label, "unlocks", t, place, self._unlock(t), last=True)

    def _place(self, t: int) -> int:
        self.places[t] += 1
        return self.places[t] - 1

    def _then(
        self,
        label: str,
        what: str,
        t: int,
        here: int,
        effect: Callable[[Step], None],
        last: bool = False,
    ) -> int:
        after = 0 if last else self._place(t)

        def step(do: Step) -> None:
            do.when(self.w.pc[t] == here)
            effect(do)
            do.set(self.w.pc[t], after)

        self._step(f"{label} {what}", f"thread {t}: {label} {what}", t, step)
        return after

    def _step(self, name: str, say: str, t: int, step: Callable[[Step], None]) -> None:
        def unless_interrupted(do: Step) -> None:
            if t != self.w.collector and not self.queued:
                do.when(self.w.victim != t + 1)
            step(do)

        self.m.declare(name, unless_interrupted, f"thread {t}", say)

    def _load(self, t: int, name: str, making: Making) -> Callable[[Step], None]:
        w = self.w

        def load(do: Step) -> None:
            value = w.fields[name][making.slot]
            put(do, w.regs[name][t], value)

        return load

    def _applied(self, t: int, making: Making) -> Applied:
        w = self.w
        given = {n: w.regs[n][t] for n in w.machine.fields}
        params = dict(making.params)
        if making.name != "acquire":
            params["presented"] = w.stamp[making.r]
        return w.machine.apply(making.name, given, **params)

    def _store(
        self, t: int, name: str, making: Making, decides: Part | None
    ) -> Callable[[Step], None]:
        w = self.w

        def store(do: Step) -> None:
            if decides is not None:
                guards = self._run(decides, making).guards
                do.set(w.decided[t], all_of(*(guards[n] for n in decides.told)))
            new = w.clamped(do, name, self._applied(t, making).writes[name])
            target = w.fields[name][making.slot]
            if making.name != "acquire":
                judges.judge_store(w, do, making.r, target, new)
            put(do, target, new)

        return store

    def _run(self, part: Part, making: Making) -> Step:
        """The action's body, over what its thread has loaded."""
        w, inner = self.w, Step()
        w.at, w.making = part.thread, making
        part.body(inner)
        w.at = w.making = None
        return inner

    def _commit(self, part: Part, making: Making) -> Callable[[Step], None]:
        def commit(do: Step) -> None:
            for u in self._run(part, making).updates:
                do.updates.append(replace(u, when=u.when & self.w.decided[part.thread]))

        return commit

    def _unlock(self, t: int) -> Callable[[Step], None]:
        w = self.w

        def unlock(do: Step) -> None:
            for known in w.regs.values():
                target = known[t]
                put(do, target, boolean(False) if isinstance(target, BoolExpr) else integer(0))
            do.set(w.decided[t], False)
            if self.locked:
                do.set(w.lock, 0)
            if t == w.collector:
                do.set(w.victim, 0)

        return unlock


def _bound(action: Captured, values: tuple[int, ...]) -> ActionBody:
    given = {n: integer(v) for n, v in zip(action.params, values, strict=True)}

    def body(do: Step) -> None:
        action.body(do, **given)

    return body


def _mentions(expr: Expr, symbol: Expr) -> bool:
    stack, seen = [expr], set[int]()
    while stack:
        node = stack.pop()
        if node.uid == symbol.uid:
            return True
        if node.uid not in seen:
            seen.add(node.uid)
            stack.extend(node.args)
    return False
