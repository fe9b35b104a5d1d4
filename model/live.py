"""L1 to L3 as what they are: something that must come to pass, under fairness that is said aloud.

The final design's world once more, whole and unreduced, with these promises of its surroundings:

- ``returns``: every handler returns (a task that loops for ever holds its body for ever), and
  every leftover thread lets go of its handle some day;
- ``runs``: a call that copies comes to its end, a reader who was called wakes up, an iterator is
  stepped on or dropped;
- ``drains``: what finalizers left on the queue is drained (acquire, release and the clock do it);
- ``timeouts``: a body that no longer comes is cut off, also one that was detached and that nobody
  makes room in; not one whose handler is only slow.

Each of them is needed: take one away (``--set drains=0``) and a property is refuted by a lasso.
"""

from dataclasses import replace

from model import judges
from model.final import steps
from model.lifecycle import SLOT, State
from model.world import Bounds, Phase, Wire, World
from nbio.verify.expr import IntExpr, as_int, integer
from nbio.verify.machine import Machine
from nbio.verify.spec import Model, Step

PROMISES = {
    "returns": {"release": "strong", "drop": "strong"},
    "runs": {"copied": "weak", "wake": "weak", "viewed": "weak"},
    "drains": {"drain": "weak", "finalize": "weak"},
    "timeouts": {"time_out": "weak"},
}
"""What each promise says of which actions: one that stays enabled (weak), or is enabled again and
again (strong), is taken."""


def live(
    slots: int = 1,
    requests: int = 2,
    blocks: int = 2,
    leftovers: int = 1,
    keepers: int = 1,
    buffers: int = 2,
    detachers: int = 1,
    returns: int = 1,
    runs: int = 1,
    drains: int = 1,
    timeouts: int = 1,
    machine: Machine = SLOT,
) -> Model:
    """The final design's world under the promises that aren't 0."""
    w = World(machine, Bounds(slots, requests, blocks, leftovers, keepers, buffers, detachers))
    kept = {"returns": returns, "runs": runs, "drains": drains, "timeouts": timeouts}
    w.m.name, w.m.doc = "final-live", "The final design, one atomic step an event, and fair."
    w.m.constants |= kept
    steps(w)
    time_out(w)
    fair = {a: how for name, says in PROMISES.items() if kept[name] for a, how in says.items()}
    w.m.actions = [replace(a, fair=fair.get(a.name, "")) for a in w.m.actions]
    must_come(w)
    w.m.done(judges.quiet(w))
    return w.m


def time_out(w: World) -> None:
    """The clock cuts off a body that the client keeps back, or that nobody will ever read."""

    def body(do: Step, r: IntExpr) -> None:
        outcome = w.event(do, r, "fail").outcome
        slow = w.reading[r] | (w.phase[r] == Phase.OVER)
        do.when(w.on_line(r), w.wire[r] == Wire.MORE, slow, outcome >= 0)
        do.set(w.wire[r], Wire.CUT)

    say = "clock: the body of request {r} came too slowly"
    w.m.add_action("time_out", body, {"r": w.request}, actor="clock", say=say)


def must_come(w: World) -> None:
    """L1 of each slot, L2 of each party, L3 of each connection."""
    for s in range(w.slot.size):
        given = as_int(w.of("state", integer(s))) == State.FREE
        w.m.leads_to(f"L1({s})", ~given, given, "every acquired slot is recycled")
    for p in range(w.party.size):
        asleep = w.doing[p] == judges.WAITING
        w.m.leads_to(f"L2({p})", asleep, ~asleep, "every waiting reader is woken")
    for r in range(w.request.size):
        flows = w.reading[r] | ~w.on_line(integer(r))
        w.m.leads_to(f"L3({r})", ~flows, flows, "every paused connection resumes or closes")
