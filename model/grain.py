"""``final-memory``: the final design's world at the grain of memory steps (``model/memory.py``)."""

from dataclasses import replace

from model import judges
from model.capturing import Capturing
from model.final import steps
from model.lifecycle import SLOT
from model.memory import AT_REST, MemoryWorld, Weaver
from model.world import Bounds, Doing, Phase, Wire
from nbio.verify.expr import BoolExpr, boolean, implies, integer
from nbio.verify.machine import Machine
from nbio.verify.spec import Model, Step, forall


def own_steps(w: MemoryWorld, m: Capturing, queued: bool) -> None:
    """The steps after the lock, the beginning of a copy, and the interrupts."""
    # Where the collector's thread only queues, it frees and wakes nothing.
    for t in range(w.thread.size - queued):
        for k in range(w.block.size):
            _free(w, m, t, k)
        for p in range(w.party.size):
            if t != 1 + p:
                _ring(w, m, t, p)
    for p in range(w.party.size):
        _begin_copy(w, m, p)
    for r in range(w.request.size):
        if queued:
            _enqueue(w, m, r)
        else:
            for t in range(w.thread.size - 1):
                _interrupt(w, m, t, r)


def _free(w: MemoryWorld, m: Capturing, t: int, k: int) -> None:
    def free(do: Step) -> None:
        do.when(w.pc[t] == 0, w.pending[t, k])
        do.set(w.pending[t, k], False)
        w.ground.free_now(do, k)

    m.declare(f"free({t},{k})", free, f"thread {t}", f"thread {t}: frees block {k}")


def _ring(w: MemoryWorld, m: Capturing, t: int, p: int) -> None:
    def ring(do: Step) -> None:
        do.when(w.pc[t] == 0, w.ringing[t] == p + 1)
        do.set(w.ringing[t], 0)
        do.set(w.called[p], True, w.doing[p] == Doing.WAITING)

    m.declare(f"ring({t},{p})", ring, f"thread {t}", f"thread {t}: wakes party {p}")


def _begin_copy(w: MemoryWorld, m: Capturing, p: int) -> None:
    def begin(do: Step) -> None:
        do.when(w.rests(1 + p), w.doing[p] == Doing.COPYING, ~w.begun_copy[p])
        do.set(w.begun_copy[p], True)
        do.set(w.current[p], w.first_block(w.handle[w.request_of(integer(p))]))

    m.declare(f"copy({p})", begin, f"thread {1 + p}", f"party {p}: begins to copy")


def _garbage(w: MemoryWorld, r: int) -> BoolExpr:
    """Nobody can reach the handle of request ``r`` any more."""
    dropped = forall(w.party, lambda p: (w.request_of(p) != r) | (w.doing[p] == Doing.DROPPED))
    let_go = w.closed[r] | (w.wire[r] != Wire.MORE)
    return (w.phase[r] == Phase.OVER) & dropped & let_go & ~w.queue[r]


def _enqueue(w: MemoryWorld, m: Capturing, r: int) -> None:
    def enqueue(do: Step) -> None:
        do.when(_garbage(w, r))
        do.set(w.queue[r], True)

    say = f"finalizer: interrupts whoever runs, puts the handle of request {r} on the queue"
    m.declare(f"enqueue({r})", enqueue, "finalizer", say)


def _interrupt(w: MemoryWorld, m: Capturing, t: int, r: int) -> None:
    def interrupt(do: Step) -> None:
        do.when(_garbage(w, r), w.victim == 0)
        do.set(w.queue[r], True)
        do.set(w.victim, t + 1)

    say = f"finalizer: the handle of request {r} is garbage; interrupts thread {t}, wants the lock"
    m.declare(f"interrupt({t},{r})", interrupt, "finalizer", say)


def memory(
    slots: int = 1,
    requests: int = 1,
    blocks: int = 1,
    leftovers: int = 1,
    keepers: int = 1,
    buffers: int = 1,
    detachers: int = 1,
    locked: int = 1,
    queued: int = 1,
    operations: int = 0,
    machine: Machine = SLOT,
) -> Model:
    """The final design, memory step by memory step.

    ``locked=0`` takes the lock out, ``queued=0`` lets the finalizer take it: both are refuted.
    ``operations``: so many may each thread begin, 0 for any number.
    """
    bounds = Bounds(slots, requests, blocks, leftovers, keepers, buffers, detachers)
    w = MemoryWorld(machine, bounds)
    m = w.m
    assert isinstance(m, Capturing)
    m.name, m.doc = "final-memory", "The final design, a memory step a step."
    m.constants |= {"locked": locked, "queued": queued, "operations": operations}
    steps(w)
    Weaver(w, m, bool(locked), bool(queued), operations).weave()
    own_steps(w, m, bool(queued))
    judges.declare(w)
    rest = w.at_rest
    m.properties = [
        replace(p, holds=implies(rest, p.holds)) if p.name in AT_REST else p for p in m.properties
    ]
    # A bound on operations ends a run anywhere.
    m.done(rest & (judges.quiet(w) if not operations else boolean(True)))
    return m
