"""``final-connection``: requests in turn on one connection, and bodies that outlive them.

The final design's world, in which the requests share a connection: the next one begins when the
response before it is out *and* the body before it is in, also one that was detached. Besides the
parties of ``model/final.py`` there are the clock (a body that no longer comes, or in which nobody
makes room after its request, is cut off), the shutdown, and its timeout.

Constants that are 0 take out what this needs: ``waits`` (for the body before), ``timeouts`` (for a
body that stays away), ``impatient`` (also with a detached one whose connection is paused),
``returns`` (handlers and leftovers do, some day), ``cutoff`` (the shutdown's: a connection that is
shut down closes although no handler returns). Each is missed by a named property.
"""

from collections.abc import Callable
from dataclasses import replace

from model import judges
from model.final import steps
from model.lifecycle import SLOT, State
from model.world import Bounds, Phase, Wire, World
from nbio.verify.expr import BoolExpr, IntExpr, all_of, as_int, integer, parameter
from nbio.verify.machine import Machine
from nbio.verify.spec import Model, Step, exists, forall

RUNS = {"copied": "weak", "wake": "weak", "viewed": "weak", "drain": "weak", "finalize": "weak"}
ENDS = {"release": "strong", "drop": "strong"}
CUTS = {"cut_off": "weak", "abort": "weak"}
FAIR = RUNS | ENDS | CUTS | {"drained": "weak", "time_out": "weak", "idle": "weak"}
"""As in ``model/live.py``; besides the connection's clocks, and that what is sent arrives."""


class Connection:
    """What the world has to be told of the one connection."""

    def __init__(self, w: World) -> None:
        self.w = w
        self.complete = w.m.booleans("complete", w.request)
        self.gone = w.m.boolean("gone")
        self.stopping = w.m.boolean("stopping")
        self.two_at_once = w.m.boolean("two_at_once")

    def arriving(self, r: IntExpr) -> BoolExpr:
        """The body of request ``r`` is still coming in."""
        return self.w.begun(r) & ~self.complete[r] & ~self.gone

    def wanted(self, r: IntExpr) -> BoolExpr:
        """Somebody can still read the body of request ``r``."""
        return self.w.on_line(r) & (self.w.wire[r] == Wire.MORE) & ~self.w.closed[r]

    def over(self, r: IntExpr) -> BoolExpr:
        """The response to request ``r`` is out."""
        return (self.w.phase[r] == Phase.OVER) | (self.w.phase[r] == Phase.DEAD)

    def busy(self) -> BoolExpr:
        """Some request is not answered, or not in."""
        return exists(
            self.w.request, lambda q: self.w.begun(q) & ~(self.over(q) & self.complete[q])
        )

    def lose(self, do: Step) -> None:
        """The connection is closed, by whichever end."""
        do.when(~self.gone)
        do.set(self.gone, True)


def also(w: World, name: str, more: Callable[[Step, IntExpr], None]) -> None:
    """Add conditions and effects to the named action of request ``r``."""
    step, actions = Step(), w.m.actions
    more(step, parameter("r", 0, w.request.size - 1))
    number = next(n for n, a in enumerate(actions) if a.name == name)
    a = actions[number]
    guard, updates = a.guard & all_of(*step.guards), (*a.updates, *step.updates)
    actions[number] = replace(a, guard=guard, updates=updates)


def share(w: World, c: Connection, waits: bool) -> None:
    """All requests are of one connection: one message after the other."""

    def begin(do: Step, r: IntExpr) -> None:
        answered = forall(w.request, lambda q: (q >= r) | c.over(q))
        received = forall(w.request, lambda q: (q >= r) | c.complete[q])
        do.when(~c.gone, ~c.stopping, answered)
        if waits:
            do.when(received)
        do.set(c.two_at_once, True, ~received)

    def receive(do: Step, r: IntExpr) -> None:
        do.when(c.arriving(r))

    def finish(do: Step, r: IntExpr) -> None:
        receive(do, r)
        do.set(c.complete[r], True)

    def cut(do: Step, r: IntExpr) -> None:
        receive(do, r)
        c.lose(do)

    also(w, "begin", begin)
    also(w, "feed", receive)
    also(w, "finish", finish)
    also(w, "cut", cut)


def clocks(w: World, c: Connection, impatient: bool) -> None:
    """The connection's own steps: the rest of an unwanted body, its ends, its clocks."""

    @w.m.action(
        r=w.request, actor="loop", say="loop: the rest of request {r}'s body came, unwanted"
    )
    def drained(do: Step, r: IntExpr) -> None:
        do.when(c.arriving(r), w.closed[r], w.reading[r])
        do.set(c.complete[r], True)

    def nothing_wanted() -> BoolExpr:
        return forall(w.request, lambda r: ~(c.arriving(r) & c.wanted(r)))

    def fails(do: Step, r: IntExpr) -> None:
        outcome = w.event(do, r, "fail").outcome
        do.when(c.arriving(r), c.wanted(r), outcome >= 0)
        do.set(w.wire[r], Wire.CUT)
        c.lose(do)

    @w.m.action(r=w.request, actor="clock", say="clock: the body of request {r} came too slowly")
    def time_out(do: Step, r: IntExpr) -> None:
        do.when(w.reading[r] | (c.over(r) if impatient else False))
        fails(do, r)

    @w.m.action(r=w.request, actor="shutdown", say="shutdown: cuts the body of request {r} off")
    def cut_off(do: Step, r: IntExpr) -> None:
        do.when(c.stopping)
        fails(do, r)

    @w.m.action(actor="shutdown", say="shutdown: closes the connection, whoever is still at work")
    def abort(do: Step) -> None:
        do.when(c.stopping, nothing_wanted())
        c.lose(do)

    @w.m.action(actor="shutdown", say="shutdown: begins")
    def stop(do: Step) -> None:
        do.when(~c.stopping, ~c.gone)
        do.set(c.stopping, True)

    @w.m.action(actor="clock", say="the connection ends: nobody needs it, or the client went")
    def idle(do: Step) -> None:
        do.when(nothing_wanted(), ~exists(w.request, lambda q: w.phase[q] == Phase.LIVE))
        c.lose(do)


def judge(w: World, c: Connection) -> None:
    """K1 of every state; K2 to K4 and L1 must come to pass."""
    m = w.m
    m.always("K1", ~c.two_at_once, "no next request is served before the body before is in")
    for r in range(w.request.size):
        if r < w.detachers:
            kept = c.over(integer(r)) & w.owned[r] & c.arriving(integer(r))
            m.leads_to(f"K2({r})", kept, ~kept, "a detached body comes to its end")
        paused = ~w.reading[r] & w.on_line(integer(r))
        m.leads_to(f"L3({r})", paused, ~paused | c.gone, "a paused connection resumes or closes")
    m.leads_to("K3", c.stopping, c.gone, "a connection that is shut down closes")
    m.leads_to(
        "K4", c.busy(), ~c.busy() | c.gone, "a connection comes to its next request, or ends"
    )
    for s in range(w.slot.size):
        free = as_int(w.of("state", integer(s))) == State.FREE
        m.leads_to(f"L1({s})", ~free, free, "every acquired slot is recycled")
    waits = exists(w.request, lambda r: c.over(r) & w.owned[r] & c.arriving(r) & ~w.closed[r])
    m.sometimes("kept", waits, "a detached body is not in yet: what K1 and K2 are about")
    second = exists(w.request, lambda r: (r > 0) & (w.phase[r] == Phase.LIVE))
    m.sometimes("second", second & ~c.two_at_once, "a next request is served")


def connection(
    slots: int = 2,
    requests: int = 2,
    blocks: int = 2,
    leftovers: int = 1,
    keepers: int = 1,
    buffers: int = 2,
    detachers: int = 1,
    waits: int = 1,
    timeouts: int = 1,
    impatient: int = 1,
    returns: int = 1,
    cutoff: int = 1,
    machine: Machine = SLOT,
) -> Model:
    """The final design's world on one connection."""
    w = World(machine, Bounds(slots, requests, blocks, leftovers, keepers, buffers, detachers))
    w.m.name, w.m.doc = "final-connection", "The final design, its requests on one connection."
    w.m.constants |= {"waits": waits, "timeouts": timeouts}
    w.m.constants |= {"impatient": impatient, "returns": returns, "cutoff": cutoff}
    steps(w)
    w.m.actions = [a for a in w.m.actions if not a.never]
    c = Connection(w)
    share(w, c, bool(waits))
    clocks(w, c, bool(impatient))
    kept = {**dict.fromkeys(CUTS, cutoff), "time_out": timeouts, **dict.fromkeys(ENDS, returns)}
    fair = {name: how for name, how in FAIR.items() if kept.get(name, 1)}
    w.m.actions = [replace(a, fair=fair.get(a.name, "")) for a in w.m.actions]
    judges.declare(w)
    judge(w, c)
    ended = forall(w.request, lambda r: (w.phase[r] == Phase.NEW) | (w.phase[r] == Phase.DEAD))
    w.m.done(c.gone & ended & forall(w.keeper, lambda i: w.kept[i] == 0))
    return w.m
