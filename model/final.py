"""The final design in its world: every party that really acts at once, one atomic step an event.

An atomic step is what the pool's lock gives. The parties of each request: the I/O loop that feeds
its body and sees the disconnect, the handler, the framework's release, the finalizer; and for the
first ``leftovers`` requests a leftover thread that still holds the handle, before and after release.
A refused event that changes nothing is left out (it would only be a step that stands still), but
its outcome is judged all the same.
"""

from collections.abc import Callable, Mapping
from enum import IntEnum

from model.ground import Ground
from model.lifecycle import SLOT, Lease, Outcome, State
from nbio.verify.expr import (
    BoolExpr,
    BoolLike,
    Expr,
    IntExpr,
    IntLike,
    all_of,
    any_of,
    as_bool,
    as_int,
    boolean,
    integer,
    ite,
)
from nbio.verify.machine import Applied, Machine
from nbio.verify.spec import BoolArray, IntArray, Model, Step, exists, forall


Seen = Callable[[IntExpr], BoolExpr]


class Phase(IntEnum):
    """A request: not begun, its handler running, released by the framework, its handle collected."""

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
    """What a party is doing with its handle."""

    IDLE = 0
    WAITING = 1
    COPYING = 2
    VIEWING = 3
    DROPPED = 4


class World:
    """The variables of the world, and the steps of its parties."""

    def __init__(
        self,
        machine: Machine,
        slots: int,
        requests: int,
        blocks: int,
        leftovers: int,
        keepers: int,
        buffers: int,
        detachers: int,
    ) -> None:
        constants = dict(
            slots=slots,
            requests=requests,
            blocks=blocks,
            leftovers=leftovers,
            keepers=keepers,
            buffers=buffers,
            detachers=detachers,
        )
        self.machine, self.body, self.detachers = machine, blocks, detachers
        self.m = m = Model("final", "The final design, one atomic step an event.", constants)
        self.slot = m.index("slot", slots)
        self.request = m.index("request", requests)
        self.party = m.index("party", requests + leftovers)
        self.block = m.index("block", buffers)
        self.view = m.index("keep", 2)
        self.ground = Ground(m, self.slot, self.block, self.request)
        self.fields = {name: self._field(name) for name in machine.fields}
        self.nowhere = slots
        self.inside = m.integers("in", self.block, 0, slots, init=slots)
        self.phase = m.enums("phase", self.request, Phase, Phase.NEW)
        self.handle = m.integers("handle", self.request, 0, slots - 1)
        self.stamp = m.integers("stamp", self.request, 0, requests)
        self.wire = m.enums("wire", self.request, Wire, Wire.MORE)
        self.fed = m.integers("fed", self.request, 0, blocks)
        self.reading = m.booleans("reading", self.request)
        self.closed = m.booleans("closed", self.request)
        self.lost = m.booleans("lost", self.request)
        self.doing = m.enums("doing", self.party, Doing, Doing.IDLE)
        self.current = m.integers("current", self.party, 0, self.block.size - 1)
        self.called = m.booleans("called", self.party)
        self.keeper = m.index("keeper", keepers)
        self.kept = m.integers("kept", self.keeper, 0, self.block.size)
        self.high, self.low = 2, 1

    def _field(self, name: str) -> IntArray | BoolArray:
        known = self.machine.fields[name]
        if isinstance(known.node, BoolExpr):
            return self.m.booleans(name, self.slot)
        if known.kind is not None:
            return self.m.enums(name, self.slot, known.kind, known.kind(known.start.lo))
        high = {"generation": self.request.size, "held": self.body}[name]
        return self.m.integers(name, self.slot, 0, high)

    # --------------------------------------------------------------------- vocabulary

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
        do.set(self.reading[r], True, when)

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
            other: BoolLike = True if but is None else p != but
            return (self.doing[p] == Doing.VIEWING) & (self.current[p] == k) & other

        kept = exists(self.keeper, lambda i: self.kept[i] == k + 1)
        return exists(self.party, looks) | kept

    def first_block(self, s: IntExpr) -> IntExpr:
        """The block of slot ``s`` that the next reader looks at."""
        result = integer(0)
        for k in reversed(range(self.block.size)):
            result = ite(self.inside[k] == s, k, result)
        return result

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
        self._write(do, s, applied.writes)
        changed = any_of(*(_differs(v, before[n]) for n, v in applied.writes.items()))
        self.ground.blame(do, "P6", changed & (self.ground.owner[s] != r))
        self._recycle(do, s, applied.outcome == Outcome.RECYCLED, seen or self.seen)
        if name in ("feed", "finish", "fail", "close", "release", "finalize"):
            self._call(do, s, applied.outcome >= 0)
        return applied

    def _write(self, do: Step, s: IntExpr, writes: Mapping[str, Expr]) -> None:
        for name, value in writes.items():
            target = self.fields[name][s]
            do.set(target, as_bool(value) if isinstance(value, BoolExpr) else as_int(value))
        # Resuming is posted in the same step as the event that clears `paused`.
        if "paused" in writes:
            resumed = as_bool(self.of("paused", s)) & ~as_bool(writes["paused"])
            for r in range(self.request.size):
                do.set(self.reading[r], True, resumed & (self.ground.owner[s] == r))

    def _recycle(self, do: Step, s: IntExpr, recycled: BoolExpr, seen: Seen) -> None:
        """The shell's part of RECYCLED: free the slot's blocks, put the slot back."""
        for k in range(self.block.size):
            mine = recycled & (self.inside[k] == s)
            self.ground.free(do, k, mine, seen(integer(k)))
            do.set(self.inside[k], self.nowhere, mine)
        self.ground.put(do, s, recycled)

    def _call(self, do: Step, s: IntExpr, happened: BoolExpr) -> None:
        """Wake whoever sleeps on the slot."""
        for p in range(self.party.size):
            r = self.request_of(integer(p))
            here = (self.handle[r] == s) & (self.stamp[r] == as_int(self.of("generation", s)))
            do.set(self.called[p], True, happened & here & (self.doing[p] == Doing.WAITING))

    def judge_read(self, do: Step, r: IntExpr, outcome: IntExpr) -> BoolExpr:
        """P9 and P11 for a read that came to ``outcome``; whether either found fault."""
        s = self.handle[r]
        told = any_of(outcome == Outcome.STALE, outcome == Outcome.CLOSED)
        after_close = self.closed[r] & ~told
        whole = (self.wire[r] == Wire.ENDED) & ~self.lost[r]
        unread = exists(self.block, lambda k: self.inside[k] == s)
        truncated = (outcome == Outcome.ENDED) & (~whole | unread)
        self.ground.blame(do, "P9", after_close)
        self.ground.blame(do, "P11", truncated)
        return after_close | truncated

    def look(self, do: Step, p: IntExpr, s: IntExpr, how: Doing, when: BoolLike) -> None:
        """Party ``p`` begins to look at the slot's first block."""
        do.set(self.doing[p], how, when)
        do.set(self.current[p], self.first_block(s), when)
        self.ground.blame(do, "P3", boolean(when) & (self.ground.owner[s] == self.ground.nobody))


def _differs(a: Expr, b: Expr) -> BoolExpr:
    if isinstance(a, BoolExpr):
        return as_bool(a) != as_bool(b)
    return as_int(a) != as_int(b)


def loop_steps(w: World) -> None:
    """The I/O loop: begins requests, feeds their bodies, sees the end and the disconnect."""
    m, g = w.m, w.ground

    @m.action(r=w.request, s=w.slot, actor="loop", say="loop: request {r} acquires slot {s}")
    def begin(do: Step, r: IntExpr, s: IntExpr) -> None:
        do.when(w.phase[r] == Phase.NEW, w.in_turn(r), w.first_virgin(s))
        g.get(do, s, r)
        applied = w.machine.apply("acquire", {n: w.of(n, s) for n in w.machine.fields})
        w._write(do, s, applied.writes)
        g.blame(do, "P10", applied.outcome != Outcome.OK)
        do.set(w.phase[r], Phase.LIVE)
        do.set(w.handle[r], s)
        do.set(w.stamp[r], as_int(w.of("generation", s)))
        do.set(w.reading[r], True)

    @m.action(r=w.request, k=w.block, actor="loop", say="loop: feeds request {r} block {k}")
    def feed(do: Step, r: IntExpr, k: IntExpr) -> None:
        on_wire = (w.wire[r] == Wire.MORE) & (w.fed[r] < w.body) & w.reading[r]
        outcome = w.event(do, r, "feed", blocks=1, high=w.high).outcome
        taken = outcome >= 0
        # Bytes for a closed body are dropped: a step that stands still.
        do.when(w.on_line(r), on_wire, g.lowest_free(k), taken | ~w.closed[r])
        g.allocate(do, k, r, taken)
        do.set(w.inside[k], w.handle[r], taken)
        do.set(w.reading[r], False, outcome == Outcome.PAUSE)
        do.set(w.lost[r], True, ~taken & ~w.closed[r])
        do.set(w.fed[r], w.fed[r] + 1)

    def over(name: str, event: str, how: Wire, say: str) -> None:
        def body(do: Step, r: IntExpr) -> None:
            outcome = w.event(do, r, event).outcome
            do.when(w.on_line(r), w.wire[r] == Wire.MORE, (outcome >= 0) | ~w.closed[r])
            do.set(w.lost[r], True, (outcome < 0) & ~w.closed[r])
            do.set(w.wire[r], how)
            do.set(w.reading[r], True)

        m.add_action(name, body, {"r": w.request}, actor="loop", say=say)

    over("finish", "finish", Wire.ENDED, "loop: the body of request {r} has ended")
    over("cut", "fail", Wire.CUT, "loop: the client of request {r} is gone")


def reader_steps(w: World) -> None:
    """Handlers and leftovers read: by copies and by views, asleep when there is nothing."""
    m, g = w.m, w.ground

    def read(name: str, lease: Lease, how: Doing) -> None:
        def body(do: Step, p: IntExpr) -> None:
            r = w.request_of(p)
            outcome = w.event(do, r, "lease", kind=lease).outcome
            ok = outcome == Outcome.OK
            fault = w.judge_read(do, r, outcome)
            do.when(w.may_act(p), w.doing[p] == Doing.IDLE, ok | fault)
            w.look(do, p, w.handle[r], how, ok)

        say = f"party {{p}}: {name.replace('_', ' ')}s"
        m.add_action(name, body, {"p": w.party}, actor="party {p}", say=say)

    read("read", Lease.COPY, Doing.COPYING)
    read("view", Lease.VIEW, Doing.VIEWING)

    @m.action(p=w.party, actor="party {p}", say="party {p}: sleeps until bytes come")
    def sleep(do: Step, p: IntExpr) -> None:
        outcome = w.event(do, w.request_of(p), "wait").outcome
        do.when(w.may_act(p), w.doing[p] == Doing.IDLE, outcome == Outcome.OK)
        do.set(w.doing[p], Doing.WAITING)
        do.set(w.called[p], False)

    @m.action(p=w.party, actor="party {p}", say="party {p}: wakes up")
    def wake(do: Step, p: IntExpr) -> None:
        r = w.request_of(p)
        # A handler's task may be cancelled at any time; a thread sleeps until it is called.
        do.when(w.doing[p] == Doing.WAITING, w.called[p] | w.is_handler(p))
        outcome = w.event(do, r, "wake", kind=Lease.COPY).outcome
        g.blame(do, "P9", w.closed[r] & (outcome == Outcome.OK))
        g.blame(do, "P10", outcome == Outcome.NOT_WAITING)
        do.set(w.called[p], False)
        do.set(w.doing[p], Doing.IDLE)
        w.look(do, p, w.handle[r], Doing.COPYING, outcome == Outcome.OK)

    @m.action(p=w.party, f=w.view, actor="party {p}", say="party {p}: has copied, frees {f}")
    def copied(do: Step, p: IntExpr, f: IntExpr) -> None:
        do.when(w.doing[p] == Doing.COPYING)
        outcome = w.event(do, w.request_of(p), "unlease", freed=f, low=w.low).outcome
        g.blame(do, "P10", outcome == Outcome.STALE)
        _return_block(w, do, p, outcome, f == 1, w.seen)
        do.set(w.doing[p], Doing.IDLE)
        do.set(w.current[p], 0)

    @m.action(p=w.party, f=w.view, actor="party {p}", say="party {p}: next view, keeps {f}")
    def viewed(do: Step, p: IntExpr, f: IntExpr) -> None:
        k = w.current[p]
        do.when(w.doing[p] == Doing.VIEWING, w.may_act(p), (f == 0) | (p < w.keeper.size))
        do.when((f == 0) | (w.kept[p] == 0))
        keeps = f == 1

        def seen(j: IntExpr) -> BoolExpr:
            return w.seen(j, but=p) | (keeps & (j == k))

        outcome = w.event(do, w.request_of(p), "unlease", seen, freed=1, low=w.low).outcome
        _return_block(w, do, p, outcome, True, seen)
        do.set(w.kept[p], k + 1, keeps & (p < w.keeper.size))
        g.collect(do, k, ~keeps & ~w.seen(k, but=p))
        do.set(w.doing[p], Doing.IDLE)
        do.set(w.current[p], 0)

    @m.action(i=w.keeper, actor="party {i}", say="party {i}: lets go of the view it kept")
    def forget(do: Step, i: IntExpr) -> None:
        k = w.kept[i] - 1
        do.when(w.kept[i] > 0)
        do.set(w.kept[i], 0)
        others = exists(w.keeper, lambda j: (j != i) & (w.kept[j] == k + 1))
        looked = exists(w.party, lambda p: (w.doing[p] == Doing.VIEWING) & (w.current[p] == k))
        g.collect(do, k, ~others & ~looked)


def _return_block(
    w: World, do: Step, p: IntExpr, outcome: IntExpr, exhausted: BoolLike, seen: Seen
) -> None:
    """The shell's part of unlease: the exhausted block leaves the slot and goes back."""
    k, mine = w.current[p], any_of(outcome == Outcome.OK, outcome == Outcome.RESUME)
    gone = mine & boolean(exhausted)
    for j in range(w.block.size):
        this = gone & (k == j)
        w.ground.free(do, j, this, seen(integer(j)))
        do.set(w.inside[j], w.nowhere, this)


def ending_steps(w: World) -> None:
    """Close by anyone, detach, the framework's release, the dropping and collection of handles."""
    m, g = w.m, w.ground

    @m.action(p=w.party, actor="party {p}", say="party {p}: closes the body")
    def close(do: Step, p: IntExpr) -> None:
        r = w.request_of(p)
        idle = (w.doing[p] == Doing.IDLE) | (w.doing[p] == Doing.VIEWING)
        outcome = w.event(do, r, "close").outcome
        do.when(w.may_act(p), idle, (outcome >= 0) | ~w.closed[r])
        g.blame(do, "C1", (outcome >= 0) & w.closed[r])
        w.gave_up(do, r, True)

    @m.action(r=w.request, actor="party {r}", say="party {r}: detaches the body")
    def detach(do: Step, r: IntExpr) -> None:
        outcome = w.event(do, r, "detach").outcome
        new = ~as_bool(w.of("detached", w.handle[r]))
        may = (w.phase[r] == Phase.LIVE) & (r < w.detachers) & (w.doing[r] == Doing.IDLE)
        do.when(may, outcome == Outcome.OK, new)

    @m.action(r=w.request, actor="framework", say="framework: releases request {r}")
    def release(do: Step, r: IntExpr) -> None:
        returned = (w.doing[r] == Doing.IDLE) | (w.doing[r] == Doing.VIEWING)
        do.when(w.phase[r] == Phase.LIVE, returned)
        outcome = w.event(do, r, "release").outcome
        kept = outcome == Outcome.KEPT
        w.gave_up(do, r, ~kept)
        do.set(w.phase[r], Phase.OVER)
        do.set(w.doing[r], Doing.DROPPED, w.doing[r] == Doing.IDLE)

    @m.action(p=w.party, actor="party {p}", say="party {p}: drops the handle")
    def drop(do: Step, p: IntExpr) -> None:
        r, k = w.request_of(p), w.current[p]
        looked = w.doing[p] == Doing.VIEWING
        # A handler's task is gone after the release; what it may leave is an unfinished iterator.
        handler = w.is_handler(p) & (w.phase[r] == Phase.OVER) & looked
        leftover = ~w.is_handler(p) & (w.phase[r] != Phase.NEW) & (w.doing[p] == Doing.IDLE)
        do.when(handler | leftover)
        g.collect(do, k, looked & ~w.seen(k, but=p))
        do.set(w.doing[p], Doing.DROPPED)
        do.set(w.current[p], 0)

    @m.action(r=w.request, actor="finalizer", say="finalizer: the handle of request {r} is garbage")
    def finalize(do: Step, r: IntExpr) -> None:
        dropped = forall(w.party, lambda p: (w.request_of(p) != r) | (w.doing[p] == Doing.DROPPED))
        let_go = w.closed[r] | (w.wire[r] != Wire.MORE)
        do.when(w.phase[r] == Phase.OVER, dropped, let_go)
        w.event(do, r, "finalize")
        do.set(w.phase[r], Phase.DEAD)
        do.set(w.handle[r], 0)
        do.set(w.stamp[r], 0)
        w.gave_up(do, r, True)


def properties(w: World) -> None:
    """TRUSTED: P1-P11 and C1 over the ghosts, and that their premises happen."""
    m, g = w.m, w.ground
    g.judge()
    looking = [
        (p, any_of(w.doing[p] == Doing.COPYING, w.doing[p] == Doing.VIEWING))
        for p in range(w.party.size)
    ]
    keeping = [(i, w.kept[i] > 0, w.kept[i] - 1) for i in range(w.keeper.size)]
    free_of = [~at | (g.place[w.current[p]] != 0) for p, at in looking]
    free_of += [~at | (g.place[k] != 0) for _, at, k in keeping]
    m.always("P4", all_of(*free_of), "nobody looks at a block that has been freed")
    own = [~at | (g.tag[w.current[p]] == w.request_of(integer(p))) for p, at in looking]
    own += [~at | (g.tag[k] == w.request_of(integer(i))) for i, at, k in keeping]
    m.always("P7", all_of(*own), "no request ever sees another request's bytes")
    dead = forall(w.request, lambda r: w.phase[r] == Phase.DEAD)
    quiet = dead & forall(w.keeper, lambda i: w.kept[i] == 0)
    m.always("P8", ~quiet | g.all_back(), "when all is over every slot and block is back")
    m.done(quiet)
    closing = exists(w.slot, lambda s: as_int(w.of("state", s)) == State.CLOSING)
    m.sometimes("all over", quiet, "P8's premise")
    m.sometimes("closing", closing, "a close meets a lease: what P4 guards against")
    m.sometimes("given up", exists(w.block, lambda k: g.place[k] == 2), "a kept view, P7's premise")
    again = exists(w.slot, lambda s: (as_int(w.of("generation", s)) > 0) & (g.owner[s] < g.nobody))
    m.sometimes("reuse", again, "a slot has a second owner: P5 and P6's premise")
    m.sometimes("paused", exists(w.slot, lambda s: as_bool(w.of("paused", s))), "backpressure")
    m.sometimes("outlives", exists(w.slot, lambda s: as_bool(w.of("detached", s))), "a detach")
    asleep = exists(w.party, lambda p: w.doing[p] == Doing.WAITING)
    m.sometimes("asleep", asleep, "a reader waits: what a lost wake-up would strand")


def final(
    slots: int = 2,
    requests: int = 3,
    blocks: int = 2,
    leftovers: int = 1,
    keepers: int = 1,
    buffers: int = 3,
    detachers: int = 1,
    machine: Machine = SLOT,
) -> Model:
    """The final design at the given bounds; ``machine`` may be a mutant of the lifecycle."""
    w = World(machine, slots, requests, blocks, leftovers, keepers, buffers, detachers)
    loop_steps(w)
    reader_steps(w)
    ending_steps(w)
    properties(w)
    return w.m
