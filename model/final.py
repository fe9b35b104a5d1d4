"""The final design in its world: every party that really acts at once, one atomic step an event.

An atomic step is what the pool's lock gives. The parties of each request: the I/O loop that feeds
its body and sees the disconnect, the handler, the framework's release, the finalizer; and for the
first ``leftovers`` requests a leftover thread that still holds the handle, also after release.
A refused event that changes nothing is left out (it would only be a step that stands still), but
its outcome is judged all the same.
"""

from model import judges
from model.lifecycle import SLOT, Lease, Outcome
from model.world import Bounds, Doing, Phase, Seen, Wire, World
from nbio.verify.expr import (
    BoolExpr,
    BoolLike,
    IntExpr,
    any_of,
    as_bool,
    as_int,
    boolean,
    integer,
    ite,
    minimum,
)
from nbio.verify.machine import Machine
from nbio.verify.spec import Model, Step, exists, forall


def loop_steps(w: World) -> None:
    """The I/O loop: begins requests, feeds their bodies, sees the end and the disconnect."""
    m, g = w.m, w.ground

    @m.action(r=w.request, s=w.slot, actor="loop", say="loop: request {r} acquires slot {s}")
    def begin(do: Step, r: IntExpr, s: IntExpr) -> None:
        do.when(w.phase[r] == Phase.NEW, w.in_turn(r), w.first_virgin(s))
        g.get(do, s, r)
        applied = w.machine.apply("acquire", {n: w.of(n, s) for n in w.machine.fields})
        w.write(do, s, applied.writes)
        g.blame(do, "P10", applied.outcome != Outcome.OK)
        do.set(w.phase[r], Phase.LIVE)
        do.set(w.handle[r], s)
        do.set(w.stamp[r], as_int(w.of("generation", s)))
        do.set(w.reading[r], True)

    @m.action(r=w.request, k=w.block, actor="loop", say="loop: feeds request {r} block {k}")
    def feed(do: Step, r: IntExpr, k: IntExpr) -> None:
        reads = w.reading[r] | w.bursts
        on_wire = (w.wire[r] == Wire.MORE) & (w.fed[r] < w.body) & reads
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

        m.add_action(name, body, {"r": w.request}, actor="loop", say=say)

    def late(name: str, event: str, say: str) -> None:
        def body(do: Step, r: IntExpr) -> None:
            outcome = w.event(do, r, event).outcome
            do.when(w.on_line(r), w.wire[r] != Wire.MORE, outcome >= 0)

        m.add_action(name, body, {"r": w.request}, actor="loop", say=say, never=True)

    @m.action(r=w.request, k=w.block, never=True, actor="loop", say="loop: feeds {r} after its end")
    def feed_late(do: Step, r: IntExpr, k: IntExpr) -> None:
        outcome = w.event(do, r, "feed", blocks=1, high=w.high).outcome
        do.when(w.on_line(r), w.wire[r] != Wire.MORE, g.lowest_free(k), outcome >= 0)
        g.blame(do, "P11", True)

    @m.action(s=w.slot, never=True, actor="loop", say="loop: acquires slot {s} though it is in use")
    def grab(do: Step, s: IntExpr) -> None:
        applied = w.machine.apply("acquire", {n: w.of(n, s) for n in w.machine.fields})
        do.when(g.owner[s] != g.nobody, applied.outcome >= 0)
        g.blame(do, "P5", True)

    late("cut_late", "fail", "loop: the client of {r} is gone, after its body was over")
    late("finish_late", "finish", "loop: the body of {r} ends, after it was over")
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
            fault = judges.judge_read(w, do, r, outcome)
            do.when(w.may_act(p), w.doing[p] == Doing.IDLE, ok | fault)
            w.look(do, p, w.handle[r], how, ok)

        say = f"party {{p}}: {name.replace('_', ' ')}s"
        m.add_action(name, body, {"p": w.party}, actor="party {p}", say=say)

    read("read", Lease.COPY, Doing.COPYING)
    read("view", Lease.VIEW, Doing.VIEWING)

    @m.action(p=w.party, actor="party {p}", say="party {p}: sleeps until bytes come")
    def sleep(do: Step, p: IntExpr) -> None:
        r = w.request_of(p)
        outcome = w.event(do, r, "wait").outcome
        ok = outcome == Outcome.OK
        fault = judges.judge_wait(w, do, r, outcome)
        do.when(w.may_act(p), w.doing[p] == Doing.IDLE, ok | fault)
        do.set(w.doing[p], Doing.WAITING, ok)
        do.set(w.called[p], False)

    def wake(name: str, called: bool, lease: Lease, how: Doing, say: str) -> None:
        def body(do: Step, p: IntExpr) -> None:
            r = w.request_of(p)
            do.when(w.doing[p] == Doing.WAITING, w.called[p] == boolean(called))
            outcome = w.event(do, r, "wake", kind=lease).outcome
            judges.judge_wake(w, do, r, outcome)
            do.set(w.called[p], False)
            do.set(w.doing[p], Doing.IDLE)
            w.look(do, p, w.handle[r], how, outcome == Outcome.OK)

        m.add_action(name, body, {"p": w.party}, actor="party {p}", say=f"party {{p}}: {say}")

    wake("wake", True, Lease.COPY, Doing.COPYING, "wakes up and reads")
    wake("wake_view", True, Lease.VIEW, Doing.VIEWING, "wakes up and views")
    # A task is cancelled at any time, a thread's read may time out.
    wake("give_up", False, Lease.COPY, Doing.COPYING, "waits no longer")

    @m.action(p=w.party, never=True, actor="party {p}", say="party {p}: wakes, though not asleep")
    def wake_stray(do: Step, p: IntExpr) -> None:
        outcome = w.event(do, w.request_of(p), "wake", kind=Lease.COPY).outcome
        nobody = ~as_bool(w.of("waiting", w.handle[w.request_of(p)]))
        do.when(w.may_act(p), w.doing[p] == Doing.IDLE, nobody, outcome >= 0)
        g.blame(do, "P10", True)

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
        do.when(w.doing[p] == Doing.VIEWING, w.may_act(p), (f == 0) | (p < w.keeper.size))
        own = w.kept[minimum(p, w.keeper.size - 1)]
        do.when((f == 0) | (own == 0))
        do.set(own, w.current[p] + 1, (f == 1) & (p < w.keeper.size))
        _end_view(w, do, p, f == 1)
        do.set(w.doing[p], Doing.IDLE)

    @m.action(i=w.keeper, actor="party {i}", say="party {i}: lets go of the view it kept")
    def forget(do: Step, i: IntExpr) -> None:
        k = w.kept[i] - 1
        do.when(w.kept[i] > 0)
        do.set(w.kept[i], 0)
        others = exists(w.keeper, lambda j: (j != i) & (w.kept[j] == k + 1))
        looked = exists(w.party, lambda p: w.views(p, k))
        g.collect(do, k, ~others & ~looked)


def _end_view(w: World, do: Step, p: IntExpr, keeps: BoolLike) -> None:
    """Party ``p``'s iterator gives its lease and its view back; ``keeps``: a slice stays alive."""
    k = w.current[p]

    def seen(j: IntExpr) -> BoolExpr:
        return w.seen(j, but=p) | (boolean(keeps) & (j == k))

    outcome = w.event(do, w.request_of(p), "unlease", seen, freed=1, low=w.low).outcome
    _return_block(w, do, p, outcome, True, seen)
    w.ground.collect(do, k, ~seen(k))
    do.set(w.current[p], 0)


def _return_block(
    w: World, do: Step, p: IntExpr, outcome: IntExpr, exhausted: BoolLike, seen: Seen
) -> None:
    """The shell's part of unlease: the exhausted block leaves the slot and goes back."""
    k, mine = w.current[p], any_of(outcome == Outcome.OK, outcome == Outcome.RESUME)
    gone = mine & boolean(exhausted)
    for j in w.every(w.block):
        this = gone & (k == j)
        w.ground.free(do, j, this, seen(j))
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
        do.set(w.owned[r], True)

    @m.action(r=w.request, actor="framework", say="framework: releases request {r}")
    def release(do: Step, r: IntExpr) -> None:
        returned = (w.doing[r] == Doing.IDLE) | (w.doing[r] == Doing.VIEWING)
        do.when(w.phase[r] == Phase.LIVE, returned)
        outcome = w.event(do, r, "release").outcome
        kept = outcome == Outcome.KEPT
        g.blame(do, "D1", w.owned[r] & ~w.closed[r] & ~kept)
        g.blame(do, "D1", kept & (~w.owned[r] | w.closed[r]))
        w.gave_up(do, r, ~kept)
        do.set(w.phase[r], Phase.OVER)
        do.set(w.doing[r], Doing.DROPPED, w.doing[r] == Doing.IDLE)

    @m.action(p=w.party, actor="party {p}", say="party {p}: drops the handle")
    def drop(do: Step, p: IntExpr) -> None:
        r = w.request_of(p)
        looked = w.doing[p] == Doing.VIEWING
        # A handler's task is gone after the release; what it may leave is an unfinished iterator.
        handler = w.is_handler(p) & (w.phase[r] == Phase.OVER) & looked
        leftover = ~w.is_handler(p) & (w.phase[r] != Phase.NEW) & (w.doing[p] == Doing.IDLE)
        do.when(handler | leftover)
        do.set(w.doing[p], ite(looked, integer(Doing.LEFT), integer(Doing.DROPPED)))

    @m.action(p=w.party, actor="finalizer", say="finalizer: ends the iterator {p} dropped")
    def drain(do: Step, p: IntExpr) -> None:
        do.when(w.is_handler(p), w.doing[p] == Doing.LEFT)
        _end_view(w, do, p, False)
        do.set(w.doing[p], Doing.DROPPED)

    @m.action(r=w.request, actor="finalizer", say="finalizer: the handle of request {r} is garbage")
    def finalize(do: Step, r: IntExpr) -> None:
        dropped = forall(w.party, lambda p: (w.request_of(p) != r) | (w.doing[p] == Doing.DROPPED))
        let_go = w.closed[r] | (w.wire[r] != Wire.MORE)
        do.when(w.phase[r] == Phase.OVER, dropped, let_go)
        outcome = w.event(do, r, "finalize").outcome
        g.blame(do, "D1", (outcome >= 0) & ~w.owned[r])
        do.set(w.phase[r], Phase.DEAD)
        do.set(w.handle[r], 0)
        do.set(w.stamp[r], 0)
        w.gave_up(do, r, True)


def steps(w: World) -> None:
    """Every step of everybody."""
    loop_steps(w)
    reader_steps(w)
    ending_steps(w)


def final(
    slots: int = 2,
    requests: int = 3,
    blocks: int = 2,
    leftovers: int = 1,
    keepers: int = 1,
    buffers: int = 2,
    detachers: int = 1,
    machine: Machine = SLOT,
) -> Model:
    """The final design at the given bounds; ``machine`` may be a mutant of the lifecycle."""
    w = World(machine, Bounds(slots, requests, blocks, leftovers, keepers, buffers, detachers))
    steps(w)
    judges.declare(w)
    w.m.done(judges.quiet(w))
    return w.m
