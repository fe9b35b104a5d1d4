"""TRUSTED: what is right and wrong in the final design's world.

Judged from outside: by what really happened on the wire, who really holds which block, who really
looks at it; the design's own fields are only compared with that. P1-P11 are the properties that the
historic designs are judged by as well; the others say that the design also *works*: it doesn't lie
about outcomes, forget a sleeper, strand a connection, or lose what it was asked to keep.

What this leaves out: the order of bytes within a body, time, and fairness.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from model.ground import Place
from model.lifecycle import Lease, Outcome, State
from nbio.verify.expr import (
    BoolExpr,
    Expr,
    IntExpr,
    all_of,
    any_of,
    as_bool,
    as_int,
    implies,
)
from nbio.verify.machine import Applied
from nbio.verify.spec import Step, exists, forall

if TYPE_CHECKING:
    from model.world import World

WORKS = {
    "O1": ("untrue", "an outcome tells what happened, and a refusal changes nothing"),
    "C1": ("decided_twice", "exactly one close decides"),
    "C2": ("after_close", "after the close only the lease's return and the release do anything"),
    "D1": ("not_kept", "a detached body outlives its request, and no other does"),
    "L2": ("slept_on", "nobody sleeps, or is told to, when something is there or will never come"),
}
"""Judged at the step that breaks them: a ghost flag each."""


def changed(before: Mapping[str, Expr], applied: Applied) -> BoolExpr:
    """The event changes some field."""
    return any_of(*(_differs(v, before[n]) for n, v in applied.writes.items()))


def _differs(a: Expr, b: Expr) -> BoolExpr:
    if isinstance(a, BoolExpr):
        return as_bool(a) != as_bool(b)
    return as_int(a) != as_int(b)


def judge_event(
    w: World, do: Step, r: IntExpr, name: str, before: Mapping[str, Expr], applied: Applied
) -> None:
    """P6, C2 and O1 for one event through the handle of request ``r``."""
    s, outcome, something = w.handle[r], applied.outcome, changed(before, applied)
    w.ground.blame(do, "P6", something & (w.ground.owner[s] != r))
    if name not in ("unlease", "release", "finalize"):
        w.ground.blame(do, "C2", something & w.closed[r])
    after = {**before, **applied.writes}
    was, now = as_int(before["state"]), as_int(after["state"])
    held_back, holds_back = as_bool(before["paused"]), as_bool(after["paused"])
    truth = all_of(
        implies(outcome < 0, ~something),
        (outcome == Outcome.RECYCLED) == ((was != State.FREE) & (now == State.FREE)),
        (outcome == Outcome.DEFERRED) == ((was == State.OPEN) & (now == State.CLOSING)),
        implies(outcome == Outcome.PAUSE, holds_back),
        implies(holds_back & ~held_back, outcome == Outcome.PAUSE),
        implies(outcome == Outcome.RESUME, held_back & ~holds_back),
    )
    if name in ("finish", "fail"):
        truth = truth & implies(outcome == Outcome.OK, something)
    w.ground.blame(do, "O1", ~truth)


def judge_store(w: World, do: Step, r: IntExpr, old: Expr, new: Expr) -> None:
    """P6 for a single store through the handle of request ``r``."""
    w.ground.blame(do, "P6", _differs(old, new) & (w.ground.owner[w.handle[r]] != r))


def judge_read(w: World, do: Step, r: IntExpr, outcome: IntExpr) -> BoolExpr:
    """P9, P11, L2 and O1 for a read that came to ``outcome``; whether any of them found fault."""
    s = w.handle[r]
    told = any_of(outcome == Outcome.STALE, outcome == Outcome.CLOSED)
    after_close = w.closed[r] & ~told
    open_, unread = ~w.closed[r], has_unread(w, s)
    whole = (w.wire[r] == WIRE_ENDED) & ~w.lost[r]
    cut = w.wire[r] == WIRE_CUT
    passed_off = (outcome == Outcome.OK) | (outcome == Outcome.EMPTY)
    truncated = ((outcome == Outcome.ENDED) & (~whole | unread)) | (open_ & cut & passed_off)
    for_ever = open_ & (outcome == Outcome.EMPTY) & ((w.wire[r] != WIRE_MORE) | unread)
    w.ground.blame(do, "P9", after_close)
    w.ground.blame(do, "P11", truncated)
    w.ground.blame(do, "L2", for_ever)
    w.ground.blame(do, "O1", open_ & told)
    return after_close | truncated | for_ever | (open_ & told)


def judge_wait(w: World, do: Step, r: IntExpr, outcome: IntExpr) -> BoolExpr:
    """P9 and O1 for a reader that wants to sleep: a second reader is told that it is one."""
    told = any_of(outcome == Outcome.STALE, outcome == Outcome.CLOSED)
    w.ground.blame(do, "P9", w.closed[r] & ~told)

    def reads(p: IntExpr) -> BoolExpr:
        mine = (w.handle[w.request_of(p)] == w.handle[r]) & valid(w, w.request_of(p))
        return mine & any_of(w.doing[p] == COPYING, w.doing[p] == VIEWING)

    unsaid = ~w.closed[r] & exists(w.party, reads) & (outcome != Outcome.BUSY)
    w.ground.blame(do, "O1", unsaid)
    return (w.closed[r] & ~told) | unsaid


def judge_wake(w: World, do: Step, r: IntExpr, outcome: IntExpr) -> None:
    """P9, P10, P11 and L2 for the waiter's own step."""
    leased, open_ = outcome == Outcome.OK, ~w.closed[r]
    w.ground.blame(do, "P9", w.closed[r] & leased)
    w.ground.blame(do, "P10", outcome == Outcome.NOT_WAITING)
    w.ground.blame(do, "P11", open_ & leased & (w.wire[r] == WIRE_CUT))
    there = open_ & has_unread(w, w.handle[r]) & (w.wire[r] != WIRE_CUT)
    w.ground.blame(do, "L2", there & (outcome == Outcome.EMPTIED))


def has_unread(w: World, s: IntExpr) -> BoolExpr:
    """Some block really is in slot ``s``."""
    return exists(w.block, lambda k: w.inside[k] == s)


def valid(w: World, r: IntExpr) -> BoolExpr:
    """The handle of request ``r`` is of its slot's generation."""
    return w.stamp[r] == as_int(w.of("generation", w.handle[r]))


OVER = 2
WIRE_MORE, WIRE_ENDED, WIRE_CUT = 0, 1, 2
IDLE, WAITING, COPYING, VIEWING, LEFT = 0, 1, 2, 3, 5


def declare(w: World) -> None:
    """Declare every property, and that its premise happens."""
    w.ground.judge()
    _contents(w)
    _books(w)
    _nobody_waits_for_ever(w)
    _premises(w)


def _contents(w: World) -> None:
    """P4 and P7: of every look at a block, in a call, by a view, by a view kept too long."""
    place, tag = w.ground.place, w.ground.tag
    free_of, own = [], []
    for p in w.every(w.party):
        looks = any_of(w.doing[p] == COPYING, w.doing[p] == VIEWING)
        free_of.append(implies(looks, place[w.current[p]] != Place.FREE))
        own.append(implies(looks, tag[w.current[p]] == w.request_of(p)))
    for i in w.every(w.keeper):
        keeps, k = w.kept[i] > 0, w.kept[i] - 1
        free_of.append(implies(keeps, place[k] != Place.FREE))
        own.append(implies(keeps, tag[k] == w.request_of(i)))
    w.m.always("P4", all_of(*free_of), "nobody looks at a block that has been freed")
    w.m.always("P7", all_of(*own), "no request ever sees another request's bytes")


def _books(w: World) -> None:
    """P8, R1, E1, V1 and the state form of P11: the slots' fields against what really is."""
    m, g = w.m, w.ground
    m.always("P8", implies(quiet(w), g.all_back()), "when all is over every slot and block is back")

    def as_new(s: IntExpr) -> BoolExpr:
        free = as_int(w.of("state", s)) == State.FREE
        reset = [_same(w.of(n, s), f.start) for n, f in w.machine.fields.items() if n in RESET]
        return (free == (g.owner[s] == g.nobody)) & implies(free, all_of(*reset))

    m.always("R1", forall(w.slot, as_new), "a FREE slot is as new, and nobody's; no other is")

    def somebody(s: IntExpr) -> BoolExpr:
        def does(what: int) -> BoolExpr:
            def mine(p: IntExpr) -> BoolExpr:
                r = w.request_of(p)
                return (w.doing[p] == what) & (w.handle[r] == s) & valid(w, r)

            return exists(w.party, mine)

        leased = as_int(w.of("leased", s))
        copy, view = leased == Lease.COPY, leased == Lease.VIEW
        return all_of(
            copy == does(COPYING),
            view == (does(VIEWING) | does(LEFT)),
            as_bool(w.of("waiting", s)) == does(WAITING),
        )

    m.always("E1", forall(w.slot, somebody), "a lease or a waiter on the slot is somebody's")

    def revoked(r: IntExpr) -> BoolExpr:
        view = as_int(w.of("leased", w.handle[r])) == Lease.VIEW
        return implies((w.phase[r] == OVER) & valid(w, r) & view, w.owned[r])

    m.always("V1", forall(w.request, revoked), "an iterator's lease ends with its request")

    def told(r: IntExpr) -> BoolExpr:
        s = w.handle[r]
        mine = w.on_line(r) & valid(w, r) & ~w.closed[r]
        ended = implies(as_bool(w.of("ended", s)), (w.wire[r] == WIRE_ENDED) & ~w.lost[r])
        return implies(mine, ended & implies(as_bool(w.of("failed", s)), w.wire[r] == WIRE_CUT))

    m.always("W1", forall(w.request, told), "what readers are told is what the wire did")


def _same(a: Expr, b: Expr) -> BoolExpr:
    if isinstance(a, BoolExpr):
        return as_bool(a) == as_bool(b)
    return as_int(a) == as_int(b)


RESET = ("leased", "waiting", "ended", "failed", "detached", "held", "paused")


def _nobody_waits_for_ever(w: World) -> None:
    """L2, L3 and B1 as invariants: no reader asleep, and no connection paused, without reason."""
    awake = []
    for p in w.every(w.party):
        r = w.request_of(p)
        nothing = ~has_unread(w, w.handle[r]) & (w.wire[r] == WIRE_MORE)
        asleep = (w.doing[p] == WAITING) & ~w.called[p]
        awake.append(implies(asleep, nothing & valid(w, r) & ~w.closed[r]))
    w.m.always("L2s", all_of(*awake), "nobody sleeps over bytes, an end, a failure or a close")

    def flows(r: IntExpr) -> BoolExpr:
        s = w.handle[r]
        full = (as_int(w.of("state", s)) == State.OPEN) & (w.really_held(s) > w.low)
        reason = valid(w, r) & full & (w.wire[r] != WIRE_CUT)
        return implies(w.on_line(r) & ~w.reading[r], reason & as_bool(w.of("paused", s)))

    w.m.always("L3s", forall(w.request, flows), "no connection is paused without a reason")

    def bounded(r: IntExpr) -> BoolExpr:
        s = w.handle[r]
        live = w.on_line(r) & valid(w, r) & ~w.closed[r] & (w.wire[r] == WIRE_MORE)
        return implies(live & w.reading[r], w.really_held(s) < w.high)

    w.m.always("B1", forall(w.request, bounded), "at the high-water mark reading stops")


def quiet(w: World) -> BoolExpr:
    """All requests are over, all handles and views gone."""
    dead = forall(w.request, lambda r: w.phase[r] == 3)
    return dead & forall(w.keeper, lambda i: w.kept[i] == 0)


def _premises(w: World) -> None:
    m, g = w.m, w.ground
    closing = exists(w.slot, lambda s: as_int(w.of("state", s)) == State.CLOSING)
    m.sometimes("all over", quiet(w), "P8's premise")
    m.sometimes("closing", closing, "a close meets a lease: what P4 guards against")
    gone = exists(w.block, lambda k: g.place[k] == Place.GONE)
    m.sometimes("given up", gone, "a view is kept: P7's premise")
    again = exists(w.slot, lambda s: (as_int(w.of("generation", s)) > 0) & (g.owner[s] < g.nobody))
    m.sometimes("reuse", again, "a slot has a second owner: P5 and P6's premise")
    if not isinstance(w.high, int) or w.body >= w.high:
        m.sometimes("paused", exists(w.request, lambda r: ~w.reading[r] & w.on_line(r)), "L3s's")
    m.sometimes("outlives", exists(w.slot, lambda s: as_bool(w.of("detached", s))), "D1's premise")
    asleep = exists(w.party, lambda p: w.doing[p] == WAITING)
    m.sometimes("asleep", asleep, "a reader waits: what a lost wake-up would strand")
    stale = exists(w.request, lambda r: w.on_line(r) & ~valid(w, r) & (w.phase[r] > 0))
    m.sometimes("stale", stale, "a handle outlives its generation: P6 and P9's premise")
