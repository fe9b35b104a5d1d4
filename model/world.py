"""The world of the final design: its variables, and what an event does in it.

The shell's part of each outcome (freeing blocks, putting the slot back, waking the sleeper,
resuming the socket) is written here as the pool does it; ``model/judges.py`` judges every event
from outside.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum

from model import judges
from model.ground import Ground
from model.lifecycle import Outcome
from nbio.verify.expr import (
    BoolExpr,
    BoolLike,
    Expr,
    IntExpr,
    IntLike,
    as_bool,
    as_int,
    boolean,
    integer,
    ite,
    maximum,
    minimum,
)
from nbio.verify.machine import Applied, Machine
from nbio.verify.spec import BoolArray, Index, IntArray, Model, Step, count, exists, forall

Seen = Callable[[IntExpr], BoolExpr]


class Phase(IntEnum):
    """A request: not begun, its handler running, released, its handle collected."""

    NEW = 0
    LIVE = 1
    OVER = 2
    DEAD = 3


class Wire(IntEnum):
    """What really happened on the wire: more to come, the end came, cut off."""

    MORE = 0
    ENDED = 1
    CUT = 2


class Doing(IntEnum):
    """What a party is doing with its handle.

    LEFT: it dropped an iterator between two steps; the finalizer queue still has that.
    """

    IDLE = 0
    WAITING = 1
    COPYING = 2
    VIEWING = 3
    DROPPED = 4
    LEFT = 5


@dataclass(frozen=True)
class Bounds:
    """How much of everything there is; printed with every verdict.

    ``leftovers``: the first so many requests have a leftover thread; ``keepers``: so many parties
    may keep a view past its lease; ``detachers``: so many requests may detach their body.
    """

    slots: int = 2
    requests: int = 3
    blocks: int = 2
    leftovers: int = 1
    keepers: int = 1
    buffers: int = 2
    detachers: int = 1


class World:
    """The variables of the world, and the steps of its parties."""

    kind: type[Model] = Model
    on: type[Ground] = Ground

    def __init__(
        self,
        machine: Machine,
        bounds: Bounds,
        marks: tuple[int, int] = (2, 1),
        bursts: bool = False,
    ) -> None:
        slots, requests, blocks = bounds.slots, bounds.requests, bounds.blocks
        self.machine, self.body, self.detachers = machine, blocks, bounds.detachers
        self.high: IntLike = marks[0]
        self.low: IntLike = marks[1]
        # What one call of the loop received may be several blocks, and go past the mark.
        self.bursts = bursts
        doc = "The final design, one atomic step an event."
        self.m = m = self.kind("final", doc, dict(vars(bounds)))
        self.slot = m.index("slot", slots)
        self.request = m.index("request", requests)
        self.party = m.index("party", requests + bounds.leftovers)
        self.block = m.index("block", bounds.buffers)
        self.view = m.index("keep", 2)
        self.ground = self.on(m, self.slot, self.block, self.request, judges.WORKS)
        self.fields = {name: self._field(name) for name in machine.fields}
        self.nowhere = slots
        self.inside = m.integers("in", self.block, 0, slots, init=slots, labels={slots: "none"})
        self.phase = m.enums("phase", self.request, Phase, Phase.NEW)
        self.handle = m.integers("handle", self.request, 0, slots - 1)
        self.stamp = m.integers("stamp", self.request, 0, requests + 1)
        self.wire = m.enums("wire", self.request, Wire, Wire.MORE)
        self.fed = m.integers("fed", self.request, 0, blocks)
        self.reading = m.booleans("reading", self.request)
        self.closed = m.booleans("closed", self.request)
        self.lost = m.booleans("lost", self.request)
        self.owned = m.booleans("owned", self.request)
        self.doing = m.enums("doing", self.party, Doing, Doing.IDLE)
        self.current = m.integers("current", self.party, 0, self.block.size - 1)
        self.called = m.booleans("called", self.party)
        self.keeper = m.index("keeper", bounds.keepers)
        self.kept = m.integers("kept", self.keeper, 0, self.block.size)

    def _field(self, name: str) -> IntArray | BoolArray:
        known = self.machine.fields[name]
        if isinstance(known.node, BoolExpr):
            return self.m.booleans(name, self.slot)
        if known.kind is not None:
            return self.m.enums(name, self.slot, known.kind, known.kind(known.start.lo))
        high = {"generation": self.request.size + 1, "held": self.body}[name]
        return self.m.integers(name, self.slot, 0, high)

    # --------------------------------------------------------------------- vocabulary

    def every(self, index: Index) -> Iterable[IntExpr]:
        """Each member of an index; one symbol for all, where they are without number."""
        return map(integer, range(index.size))

    def on_line(self, r: IntExpr) -> BoolExpr:
        """The connection of request ``r`` holds its handle and may send anything."""
        return (self.phase[r] != Phase.NEW) & (self.phase[r] != Phase.DEAD)

    def gave_up(self, do: Step, r: IntExpr, when: BoolLike) -> None:
        """A close or release through the handle of ``r`` has returned.

        What the wire did before no longer matters (every read ends in the error); from here on the
        connection may send anything, for as long as it is there.
        """
        do.set(self.closed[r], True, when)
        do.set(self.wire[r], Wire.MORE, when)
        do.set(self.fed[r], 0, when)

    def request_of(self, p: IntExpr) -> IntExpr:
        """The request whose handle a party holds: handlers first, then the leftovers."""
        size = self.request.size
        return ite(p < size, p, p - size)

    def is_handler(self, p: IntExpr) -> BoolExpr:
        """Whether the party is a request's handler (else a leftover thread)."""
        return p < self.request.size

    def of(self, name: str, s: IntExpr) -> Expr:
        """A field of slot ``s``."""
        return self.fields[name][s]

    def seen(self, k: IntExpr, but: IntExpr | None = None) -> BoolExpr:
        """A view of block ``k`` is alive (not counting the one that party ``but`` iterates)."""

        def looks(p: IntExpr) -> BoolExpr:
            return self.views(p, k) & (True if but is None else p != but)

        kept = exists(self.keeper, lambda i: self.kept[i] == k + 1)
        return exists(self.party, looks) | kept

    def views(self, p: IntExpr, k: IntExpr) -> BoolExpr:
        """The iterator of party ``p`` has a view of block ``k``, perhaps dropped with it."""
        iterates = (self.doing[p] == Doing.VIEWING) | (self.doing[p] == Doing.LEFT)
        return iterates & (self.current[p] == k)

    def first_block(self, s: IntExpr) -> IntExpr:
        """The block of slot ``s`` that the next reader looks at."""
        result = integer(0)
        for k in reversed(range(self.block.size)):
            result = ite(self.inside[k] == s, k, result)
        return result

    def really_held(self, s: IntExpr) -> IntExpr:
        """How many blocks really are in slot ``s``."""
        return count(self.block, lambda k: self.inside[k] == s)

    def may_act(self, p: IntExpr) -> BoolExpr:
        """The party holds its handle and is not inside a call; a handler only while it runs."""
        r = self.request_of(p)
        alive = ite(self.is_handler(p), self.phase[r] == Phase.LIVE, self.phase[r] != Phase.NEW)
        return alive & (self.phase[r] != Phase.DEAD)

    def in_turn(self, r: IntExpr) -> BoolExpr:
        """Requests without a leftover are interchangeable: they begin in order of number."""
        first = self.party.size - self.request.size
        earlier = forall(self.request, lambda q: (q < first) | (q >= r) | self.begun(q))
        return (r < first) | earlier

    def begun(self, r: IntExpr) -> BoolExpr:
        """Request ``r`` has acquired its slot, now or in the past."""
        return self.phase[r] != Phase.NEW

    def first_virgin(self, s: IntExpr) -> BoolExpr:
        """Slots never used are interchangeable: the lowest of them goes first."""

        def virgin(t: IntExpr) -> BoolExpr:
            new = as_int(self.of("generation", t)) == 0
            return new & (self.ground.owner[t] == self.ground.nobody)

        return forall(self.slot, lambda t: (t >= s) | ~virgin(t) | ~virgin(s))

    # ------------------------------------------------------------------ one event, judged

    def event(
        self, do: Step, r: IntExpr, name: str, seen: Seen | None = None, **params: IntLike
    ) -> Applied:
        """Apply an event through the handle of ``r``; the shell's part and the judgement with it.

        ``seen(k)`` says whether a view of block ``k`` is alive when the event frees it.
        """
        s = self.handle[r]
        before = {n: self.of(n, s) for n in self.machine.fields}
        if name != "acquire":
            params["presented"] = self.stamp[r]
        applied = self.machine.apply(name, before, **params)
        self.write(do, s, applied.writes)
        judges.judge_event(self, do, r, name, before, applied)
        self._recycle(do, s, applied.outcome == Outcome.RECYCLED, seen or self.seen)
        if name in ("feed", "finish", "fail", "close", "release", "finalize"):
            self._call(do, s, applied.outcome >= 0)
        return applied

    def write(self, do: Step, s: IntExpr, writes: Mapping[str, Expr]) -> None:
        """Store an event's writes; a count that leaves its range is a crash (P10), and clamped."""
        for name, value in writes.items():
            put(do, self.fields[name][s], self.clamped(do, name, value))
        # Resuming is posted in the same step as the event that clears `paused`.
        if "paused" in writes:
            resumed = as_bool(self.of("paused", s)) & ~as_bool(writes["paused"])
            for r in self.every(self.request):
                do.set(self.reading[r], True, resumed & (self.ground.owner[s] == r))

    def clamped(self, do: Step, name: str, value: Expr) -> Expr:
        """A field's new value within its range; a crash (P10) where a count had left it."""
        if isinstance(value, BoolExpr):
            return value
        number, known = as_int(value), self.m.variables[name]
        within = minimum(maximum(number, known.lo), known.hi)
        if name == "held":
            self.ground.blame(do, "P10", number != within)
        return within

    def _recycle(self, do: Step, s: IntExpr, recycled: BoolExpr, seen: Seen) -> None:
        """The shell's part of RECYCLED: free the slot's blocks, put the slot back."""
        for k in self.every(self.block):
            mine = recycled & (self.inside[k] == s)
            self.ground.free(do, k, mine, seen(k))
            do.set(self.inside[k], self.nowhere, mine)
        self.ground.put(do, s, recycled)

    def _call(self, do: Step, s: IntExpr, happened: BoolExpr) -> None:
        """Wake whoever sleeps on the slot."""
        for p in self.every(self.party):
            r = self.request_of(p)
            here = (self.handle[r] == s) & (self.stamp[r] == as_int(self.of("generation", s)))
            do.set(self.called[p], True, happened & here & (self.doing[p] == Doing.WAITING))

    def look(self, do: Step, p: IntExpr, s: IntExpr, how: Doing, when: BoolLike) -> None:
        """Party ``p`` begins to look at the slot's first block."""
        do.set(self.doing[p], how, when)
        do.set(self.current[p], self.first_block(s), when)
        self.ground.blame(do, "P3", boolean(when) & (self.ground.owner[s] == self.ground.nobody))


def put(do: Step, target: Expr, value: Expr) -> None:
    """Set a variable of either kind."""
    if isinstance(value, BoolExpr):
        do.set(target, value)
    else:
        do.set(target, as_int(value))
