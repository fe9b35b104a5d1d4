"""Whether a recorded run is a run of the final design's world.

A record says what happened to each slot, and not who did it or what the wire did. So each *life* of
a slot (from its acquire to the last event of that generation) is replayed in the world with one
request, and what is not on record is guessed in every way that there is: kept is the set of all
states in which the world can be. A step is a step of the world while that set is not empty; every
state in it is judged by every property, so a life also ends with its blocks and its slot back.

Before that the record is replayed against the lifecycle alone, as ``python -m nbio.testing`` does.

Left out: which block is which, kept views (a run without is a run), and other requests' lives,
which a slot's events meet only as stale handles, and those change nothing.
"""

import functools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from model import judges
from model.final import steps
from model.lifecycle import SLOT, Lease
from model.world import Bounds, Doing, World
from nbio.testing.replay import Event, Recording, Replayed, SlotRun, replay
from nbio.verify.expr import IntExpr
from nbio.verify.ints import Interpreter, describe
from nbio.verify.program import Instance, Program, State
from nbio.verify.spec import Step

PARTS = ("viewed_a_part", "drained_a_part")
"""Ends of views that leave something in their block."""
ACTIONS = {
    "acquire": ("begin",),
    "feed": ("feed",),
    "finish": ("finish",),
    "fail": ("cut",),
    "wait": ("sleep",),
    "unlease": ("copied", "viewed", "drain", *PARTS),
    "detach": ("detach",),
    "close": ("close",),
    "release": ("release",),
    "finalize": ("finalize",),
}
"""Event -> the world's actions that make it; lease and wake depend on the kind of lease."""
OWN = ("acquire", "wake", "unlease", "finalize")
"""Events that only somebody in the right place makes: who waits, has a lease, is garbage."""
UNSEEN = ("drop",)
"""Actions that make no event."""


def actions(event: Event) -> tuple[str, ...]:
    """The world's actions that make the event."""
    view = event.params.get("kind") == Lease.VIEW
    if event.name == "lease":
        return ("view",) if view else ("read",)
    if event.name == "wake":
        return ("wake_view",) if view else ("wake", "give_up")
    return ACTIONS[event.name]


@dataclass(frozen=True)
class Stuck:
    """The first event that is no step of the world, and where the world could be before it."""

    event: Event
    why: str
    states: tuple[str, ...]
    allowed: tuple[str, ...]

    def __str__(self) -> str:
        e = self.event
        told = [f"line {e.line}, slot {e.slot}, event {e.seq}, is no step of the world:"]
        told += [f"  {e}", f"  {self.why}", "the world before it is one of:"]
        told += [f"  {state}" for state in self.states]
        told += ["the world's steps there:", *(f"  {step}" for step in self.allowed)]
        return "\n".join(told)


def parts(w: World) -> None:
    """The world counts whole blocks; but bytes may come into the block that a view is of.

    They stay when the view ends: that frees nothing, and the block's reader goes on in it.
    """

    def ends(name: str, before: Doing, after: Doing, actor: str) -> None:
        def body(do: Step, p: IntExpr) -> None:
            do.when(w.doing[p] == before)
            seen = functools.partial(w.seen, but=p)
            w.event(do, w.request_of(p), "unlease", seen, freed=0, low=w.low)
            do.set(w.doing[p], after)
            do.set(w.current[p], 0)

        say = "party {p}: the view ends, its block goes on"
        w.m.add_action(name, body, {"p": w.party}, actor=actor, say=say)

    ends("viewed_a_part", Doing.VIEWING, Doing.IDLE, "party {p}")
    ends("drained_a_part", Doing.LEFT, Doing.DROPPED, "finalizer")


def fits(name: str, last: int, event: Event) -> bool:
    """Whether this action is that event; `last` is the last of the values it is taken with."""
    if event.name != "unlease":
        return True
    if name == "copied":
        # Blocks freed.
        return last == min(1, event.params["freed"])
    # Where a slot is recycled, or was, it is of no meaning what was freed.
    part = event.outcome in ("OK", "RESUME") and event.params["freed"] == 0
    # Of a view, whether it is kept: a run without is a run.
    return part == (name in PARTS) and not (name == "viewed" and last)


class LifeWorld:
    """The world of one slot's one life, for bodies of so many blocks."""

    def __init__(self, high: int, low: int, fed: int, held: int) -> None:
        bounds = Bounds(slots=1, requests=1, blocks=fed, buffers=held)
        world = World(SLOT, bounds, (high, low), bursts=True)
        steps(world)
        parts(world)
        judges.declare(world)
        self.high, self.low = high, low
        self.program = Program(world.m)
        self.interpreter = Interpreter(self.program)
        self.properties = {
            p.name: self.program.holds(p) for p in world.m.properties if p.kind == "always"
        }
        self.by_action: dict[str, list[Instance]] = {}
        for instance in self.program.instances:
            self.by_action.setdefault(instance.action.name, []).append(instance)
        self._broken: dict[State, str] = {}

    def begin(self) -> set[State]:
        """Where the world starts."""
        return set(self.interpreter.starts())

    def after(self, states: set[State], event: Event, changes: bool) -> set[State]:
        """Where the world can be after the event; ``changes``: it changed some field."""
        return {new for state in states for new in self._after(state, event, changes)}

    def _after(self, state: State, event: Event, changes: bool) -> Iterator[State]:
        found = False
        for instance in self._instances(event):
            if self.interpreter.enabled(instance, state):
                found = True
                yield self.interpreter.apply(instance, state)
        # A step that would stand still is left out of the world, where anybody may take it.
        if not found and not changes and event.name not in OWN:
            yield state

    def _instances(self, event: Event) -> Iterator[Instance]:
        if event.params.get("blocks") == 0:
            # Bytes that went into the last block: the world counts whole blocks.
            return
        for name in actions(event):
            for instance in self.by_action[name]:
                if fits(name, instance.values[-1], event):
                    yield instance

    def unseen(self, states: set[State]) -> set[State]:
        """Those states, and all to which steps lead that make no event."""
        found, fresh = set(states), list(states)
        while fresh:
            state = fresh.pop()
            for name in UNSEEN:
                for instance in self.by_action[name]:
                    if self.interpreter.enabled(instance, state):
                        new = self.interpreter.apply(instance, state)
                        if new not in found:
                            found.add(new)
                            fresh.append(new)
        return found

    def broken(self, state: State) -> str:
        """The properties that a state violates."""
        told = self._broken.get(state)
        if told is None:
            wrong = (n for n, p in self.properties.items() if not self.interpreter.value(p, state))
            told = self._broken[state] = ", ".join(wrong)
        return told

    def stuck(self, event: Event, states: set[State], why: str) -> Stuck:
        """The report, at the place where no state is left."""
        some = sorted(states)[:3]
        taken = {t.instance.label for s in some for t in self.interpreter.successors(s)}
        shown = tuple(describe(self.program, s) for s in some)
        return Stuck(event, why, shown, tuple(sorted(taken)))


world_of = functools.lru_cache(maxsize=32)(LifeWorld)
"""One of each size is enough, however many records are replayed."""


def lives(recording: Recording) -> list[list[Event]]:
    """The events of each generation of each slot that begins on record."""
    found: dict[tuple[int, int], list[Event]] = {}
    for event in recording.events:
        found.setdefault((event.slot, event.generation), []).append(event)
    return list(found.values())


def live(world: LifeWorld, events: Sequence[Event]) -> Stuck | None:
    """Replay one life; where it leaves the world, if it does."""
    run, states = SlotRun(world.high, world.low), world.begin()
    for event in events:
        before = dict(run.fields)
        run.fields = run.applied(event.name, 0, event.params)[1]
        changes = before != run.fields
        new = world.after(states, event, changes)
        if not new:
            states = world.unseen(states)
            new = world.after(states, event, changes)
        sound = {state for state in new if not world.broken(state)}
        if not sound:
            broken = {world.broken(state) for state in new}
            why = f"it breaks {' or '.join(sorted(broken))}" if new else "nobody can do it"
            return world.stuck(event, states, why)
        states = sound
    return None


@dataclass(frozen=True)
class Judged:
    """What became of a trace, by the lifecycle and, where that has no objection, by the world."""

    by_lifecycle: Replayed
    stuck: Stuck | None
    lives: int
    different: int
    seconds: float

    @property
    def is_run(self) -> bool:
        """Whether it is a run of both."""
        return self.by_lifecycle.refused is None and self.stuck is None

    def __str__(self) -> str:
        if self.by_lifecycle.refused is not None:
            return str(self.by_lifecycle)
        if self.stuck is not None:
            return f"{self.stuck}\nNOT A RUN of the world"
        return (
            f"{self.by_lifecycle}\na run of the world: {self.lives:,} lives, {self.different:,} "
            f"of them new, blocks and slots conserved in each [{self.seconds:.1f} s]"
        )


def judge(recording: Recording, known: set[tuple[object, ...]] | None = None) -> Judged:
    """Replay a trace against the lifecycle and the world.

    ``known``: lives that were replayed before, also of other traces, and need not be again.
    """
    started = time.perf_counter()
    found = replay(recording)
    stuck, all_lives, different = None, lives(recording), 0
    known = set() if known is None else known
    for events in all_lives if found.refused is None else ():
        told = tuple((e.name, e.outcome, *e.params.values()) for e in events)
        key = (recording.high, recording.low, *told)
        if key in known:
            continue
        known.add(key)
        different += 1
        size = _sizes(recording, events)
        stuck = live(world_of(recording.high, recording.low, *size), events)
        if stuck is not None:
            break
    return Judged(found, stuck, len(all_lives), different, time.perf_counter() - started)


def _sizes(recording: Recording, events: Sequence[Event]) -> tuple[int, int]:
    """How many blocks a life fed, and held at most, both rounded up: few worlds serve many."""
    run, fed, held = SlotRun(recording.high, recording.low), 0, 1
    for event in events:
        run.fields = run.applied(event.name, 0, event.params)[1]
        fed += event.params.get("blocks", 0)
        held = max(held, run.fields["held"])
    return max(2, 1 << fed.bit_length()), max(2, 1 << (held - 1).bit_length())
