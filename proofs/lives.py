"""How much of the model's slot a real pool lived through, and nothing besides.

The model's world at small bounds is projected on the fields of its slot: which *states* a slot can
be in, and which *steps* (state, event, state) lead from one to another. :class:`Watch` makes pools
that run the code of every other pool and note the steps that they take. A step that the model
doesn't know, at a number of blocks that it does, is an error; the share that was seen is told.

Left out: who acts, and which block is which (`proofs/abstraction.py` has those).
"""

import functools
import os
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from model import judges
from model.final import steps
from model.lifecycle import SLOT
from model.replay import ACTIONS, parts
from model.world import Bounds, World
from nbio import _lifecycle
from nbio.pool import BodyPool
from nbio.recording import BASE, TAKES, Recorder
from nbio.testing.replay import START
from proofs.graph import Graph

FIELDS: Final = tuple(name for name in SLOT.fields if name != "generation")
HELD: Final = FIELDS.index("held")
EVENTS: Final = {action: event for event, made in ACTIONS.items() for action in made} | {
    **dict.fromkeys(("read", "view"), "lease"),
    **dict.fromkeys(("wake", "wake_view", "give_up"), "wake"),
}
"""The world's action -> the slot's event."""

State: TypeAlias = tuple[int, ...]
Step: TypeAlias = tuple[State, str, State]


def named(state: State) -> str:
    """A slot's state for people: what isn't as it was made."""
    changed = {n: v for n, v in zip(FIELDS, state, strict=True) if v != START[n]}
    return " ".join(f"{n}={v}" for n, v in changed.items()) or "as it was made"


class SlotGraph:
    """The states and steps of the model's slot, for pools with these marks.

    Bodies of ``high + 1`` blocks: so one more than the mark is held, when it all came at once.
    """

    def __init__(self, high: int, low: int) -> None:
        self.most = high + 1
        bounds = Bounds(
            slots=1, requests=1, blocks=self.most, leftovers=1, keepers=1, buffers=self.most
        )
        world = World(SLOT, bounds, (high, low), bursts=True)
        steps(world)
        parts(world)
        judges.declare(world)
        world.m.done(judges.quiet(world))
        graph = Graph(world.m)
        places = [graph.names.index(f"{name}[0]") for name in FIELDS]
        of = [tuple(state[place] for place in places) for state in graph.states]
        self.states = set(of)
        self.steps = {
            (of[edge.source], EVENTS[edge.instance.action.name], of[edge.target])
            for edges in graph.edges
            for edge in edges
            if of[edge.source] != of[edge.target]
        }


graph_of = functools.lru_cache(maxsize=4)(SlotGraph)


@dataclass(frozen=True)
class Share:
    """What was seen of a graph, and what isn't of it."""

    states: int
    all_states: int
    steps: int
    all_steps: int
    beyond: int
    strays: tuple[str, ...]
    missed: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"{self.states} of the model's {self.all_states} slot states "
            f"({self.states / self.all_states:.0%}), {self.steps} of its {self.all_steps} steps "
            f"({self.steps / self.all_steps:.0%}); {self.beyond} steps with more blocks than its"
        )


class Watch(Recorder):
    """Makes pools whose slots' steps it notes; for one pool at a time."""

    def __init__(self) -> None:
        super().__init__(os.devnull)
        self._class = self.pool_class()
        self._slots: dict[int, dict[str, int]] = {}
        self.steps: set[Step] = set()

    def pool(self, *args: Any, **options: Any) -> BodyPool:
        """The next pool to be watched, as `BodyPool` makes one."""
        self._slots.clear()
        self._pool = pool = self._class(*args, **options)
        return pool

    def _note(self, event: str, given: tuple[int, ...], outcome: int) -> None:
        slot = dict(zip(TAKES[event], given, strict=True))["presented"] >> BASE
        fields = self._slots.setdefault(slot, dict(START))
        if outcome < 0:
            return
        function = getattr(_lifecycle, event)
        _, *values = function(*given[: function.__code__.co_argcount])
        before = tuple(int(fields[name]) for name in FIELDS)
        fields.update(zip(_lifecycle.WRITES[event].split(), values, strict=True))
        after = tuple(int(fields[name]) for name in FIELDS)
        if before != after:
            self.steps.add((before, event, after))

    def share(self, high: int, low: int) -> Share:
        """How much of the graph for these marks was seen."""
        graph = graph_of(high, low)
        beyond = {s for s in self.steps if max(s[0][HELD], s[2][HELD]) > graph.most}
        inside = self.steps - beyond
        known = inside & graph.steps
        seen = {state for before, _, after in known for state in (before, after)}
        return Share(
            len(seen),
            len(graph.states),
            len(known),
            len(graph.steps),
            len(beyond),
            tuple(f"{named(b)} -{e}-> {named(a)}" for b, e, a in sorted(inside - graph.steps)),
            tuple(f"{named(b)} -{e}-> {named(a)}" for b, e, a in sorted(graph.steps - known)),
        )
