"""One search over several processes: each owns the states that a mix of their words assigns to it.

The owner expands its share of a level, chunk by chunk; what belongs to others goes to them. A round
is one call to every shard: take in what the others found in the last round, expand one chunk more.
A level ends when nobody has anything left of it, so levels, counts, depths and verdicts are those
of a search in one process. Where the shards run, and how states get from one to another, is up to
the crew (:mod:`nbio.verify.crew`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from nbio.verify.engine import (
    CHUNK,
    Bounds,
    Exploration,
    Packed,
    Progress,
    Search,
    StoppedError,
    look_at_bounds,
)
from nbio.verify.expr import ModelError
from nbio.verify.memory import OutOfMemoryError, resident
from nbio.verify.packing import Words
from nbio.verify.program import Instance
from nbio.verify.spec import Model
from nbio.verify.visited import DenseSet, mixed

BLOCK: Final = 16
"""Of states in a dense set, 2^16 neighbours have the same owner: sorted batches stay sorted."""
BITS: Final = 14
"""Of a state's mix, as many say who owns it: a table of 2^14 owners stays in the cache."""
MOST: Final = 255
"""Shards of one search."""
Parcel = list[Words]
"""States on their way from one shard to another, in batches."""


@dataclass(frozen=True)
class Told:
    """What a shard says after each call."""

    left: bool
    """Whether it has more of the level to expand."""
    states: int
    transitions: int
    memory: int
    first: dict[str, tuple[int, Packed]]
    stopped: str = ""


@dataclass(frozen=True)
class Share:
    """Which shard of how many."""

    number: int
    of: int


def prepared(model: Model, bounds: Bounds, symmetry: bool, shards: int) -> Search:
    """A search that a shard can make its own: one of ``shards`` parts of the memory is its."""
    if shards > MOST:
        raise ModelError(f"a search is shared by at most {MOST} workers, not {shards:,}")
    return Search(model, Bounds(memory=-(-bounds.memory // shards)), symmetry=symmetry)


class Shard:
    """The states of one owner."""

    def __init__(self, search: Search, share: Share) -> None:
        self._search, self._share = search, share
        self.result = search.result
        self._dense = isinstance(self.result.visited, DenseSet)
        many = (search.packing.capacity >> BLOCK) + 1 if self._dense else 1 << BITS
        self._owners = (np.arange(many) % share.of).astype(np.uint8)
        self._next = 0
        words, instances = search.packing.words, len(search.program.instances)
        self.chunk = max(1, min(CHUNK, search.chunk, PARCEL // (8 * words * max(1, instances))))

    def begin(self) -> Told:
        """Take in the initial states that are this shard's."""
        mine = self._divided([self._search.initial()])[self._share.number]
        self.result.initial = self.result.visited.insert(mine)
        self.result.levels.append(self.result.visited.count)
        return self._told()

    def round(self, parcels: Sequence[Parcel]) -> tuple[list[Parcel], Told]:
        """Take in what was found for this shard, expand one chunk: what was found for each."""
        nothing: list[Parcel] = [[] for _ in range(self._share.of)]
        stop = self.result.levels[-1]
        try:
            self.result.visited.insert([batch for parcel in parcels for batch in parcel])
            if self._next >= stop:
                return nothing, self._told()
            start, self._next = self._next, min(self._next + self.chunk, stop)
            found = self._search.expand(self.result.visited.rows(start, self._next))
            self._search.budget.take()
        except OutOfMemoryError as error:
            return nothing, self._told(str(error))
        return self._divided(found), self._told()

    def close_level(self) -> Told:
        """Everybody has taken in the whole level."""
        self.result.visited.close_level(self.result.levels[-1])
        self._next = self.result.levels[-1]
        self.result.levels.append(self.result.visited.count)
        return self._told()

    def tally(self) -> Tally:
        """What the whole search came to here."""
        r = self.result
        return Tally(r.initial, r.levels, r.taken, r.reached, r.cut, r.unmet)

    def step_to(self, level: int, target: Packed) -> tuple[int, Packed] | None:
        """A step to ``target`` from a state of ``level``, if one starts here."""
        levels = self.result.levels
        if level + 1 >= len(levels):
            return None
        return self.result.step_to(levels[level], levels[level + 1], target)

    def _told(self, stopped: str = "") -> Told:
        r = self.result
        left = self._next < r.levels[-1]
        return Told(left, r.states, r.transitions, resident(), r.first, stopped)

    def _divided(self, batches: Sequence[Words]) -> list[Parcel]:
        parcels: list[Parcel] = [[] for _ in range(self._share.of)]
        for words in batches:
            for parcel, part in zip(parcels, self._parts(words), strict=True):
                if part.shape[1]:
                    parcel.append(part)
        return parcels

    def _parts(self, words: Words) -> list[Words]:
        """What of a batch is each owner's."""
        if self._dense and (words[0, 1:] >= words[0, :-1]).all():
            return self._runs(words)
        owner = self._owner(words)
        # Selecting columns by a mask in brackets takes ten times as long.
        return [words.compress(owner == n, axis=1) for n in range(self._share.of)]

    def _runs(self, words: Words) -> list[Words]:
        """The same for a sorted batch: neighbours have one owner, so its borders are enough."""
        word, of = words[0], self._share.of
        if not word.size:
            return [words] * of
        first, last = int(word[0]) >> BLOCK, int(word[-1]) >> BLOCK
        borders = np.arange(first + 1, last + 1, dtype=np.uint64) << np.uint64(BLOCK)
        # Slices by hand: np.split takes ten times as long for each.
        cuts = [0, *word.searchsorted(borders).tolist(), word.size]
        parts: list[Words] = []
        for number in range(of):
            its = range((number - first) % of, len(cuts) - 1, of)
            runs = [words[:, cuts[k] : cuts[k + 1]] for k in its]
            parts.append(np.concatenate(runs, axis=1) if runs else words[:, :0])
        return parts

    def _owner(self, words: Words) -> NDArray[np.uint8]:
        # The high bits of the mix say where in its owner's table a state is. Both numbers are
        # small: a table saves the division, which would be slower than all the rest.
        number = (
            words[0] >> np.uint64(BLOCK)
            if self._dense
            else mixed(words) & np.uint64((1 << BITS) - 1)
        )
        owner: NDArray[np.uint8] = self._owners.take(number.view(np.int64))
        return owner


PARCEL: Final = 1 << 27
"""Bytes that one round may send to one shard, at most."""


@dataclass(frozen=True)
class Tally:
    """A shard's share of the final figures."""

    initial: int
    levels: list[int]
    taken: dict[str, int]
    reached: dict[str, int]
    cut: int
    unmet: set[str]


class Crew(Protocol):
    """Where the shards run. Each method is a call to every shard, at once."""

    @property
    def size(self) -> int:
        """How many shards there are."""

    def begin(self) -> list[Told]:
        """:meth:`Shard.begin`."""

    def round(self) -> list[Told]:
        """:meth:`Shard.round` with what the last round found."""

    def close_level(self) -> list[Told]:
        """:meth:`Shard.close_level`."""

    def tally(self) -> list[Tally]:
        """:meth:`Shard.tally`."""

    def step_to(self, level: int, target: Packed) -> list[tuple[int, Packed] | None]:
        """:meth:`Shard.step_to`."""


@dataclass
class ShardedExploration(Exploration):
    """What several shards saw together; the states stay with them."""

    crew: Crew | None = None
    found_states: int = 0

    @property
    def states(self) -> int:
        """Distinct states found by all shards."""
        return self.found_states

    def predecessor(self, level: int, target: Packed) -> tuple[Instance, Packed]:
        """As :meth:`Exploration.predecessor`: some shard knows one."""
        assert self.crew is not None
        for found in self.crew.step_to(level, target):
            if found is not None:
                return self.program.instances[found[0]], found[1]
        raise ModelError(f"no predecessor at level {level}: the shards contradict each other")


@dataclass
class ShardedSearch:
    """A breadth-first search that a crew makes together."""

    idle: Search
    """A search that is never run: it holds what reports and traces need."""
    crew: Crew
    bounds: Bounds = field(default_factory=Bounds)
    progress: Callable[[Progress], None] | None = None
    until_refuted: bool = False

    def run(self) -> ShardedExploration:
        """Explore until no shard has anything left, or a bound is met."""
        started, idle = time.perf_counter(), self.idle.result
        result = ShardedExploration(
            idle.program,
            idle.packing,
            idle.visited,
            [0],
            symmetry=idle.symmetry,
            not_reduced=idle.not_reduced,
            unmet=set(idle.unmet),
            crew=self.crew,
        )
        told = self.crew.begin()
        try:
            self._search(result, told, started)
            result.levels.pop()
        except StoppedError as stop:
            result.stopped = str(stop)
            if result.levels[-1] < result.states:
                result.levels.append(result.states)
        for tally in self.crew.tally():
            result.initial += tally.initial
            result.cut += tally.cut
            result.unmet &= tally.unmet
            for name, times in tally.taken.items():
                result.taken[name] = result.taken.get(name, 0) + times
            for name, level in tally.reached.items():
                result.reached[name] = min(level, result.reached.get(name, level))
        result.seconds = time.perf_counter() - started
        return result

    def _search(self, result: ShardedExploration, told: list[Told], started: float) -> None:
        self._heard(result, told, started)
        result.levels.append(result.states)
        while result.levels[-1] > result.levels[-2]:
            while any(t.left for t in told):
                told = self.crew.round()
                self._heard(result, told, started)
                if self.progress:
                    self.progress(self._progress(result, told, started))
            # One round more takes in what the last one found.
            self._heard(result, self.crew.round(), started)
            told = self.crew.close_level()
            self._heard(result, told, started)
            result.levels.append(result.states)
            if self.progress:
                self.progress(self._progress(result, told, started))

    def _heard(self, result: ShardedExploration, told: list[Told], started: float) -> None:
        result.found_states = sum(t.states for t in told)
        result.transitions = sum(t.transitions for t in told)
        for one in told:
            for name, place in one.first.items():
                result.first[name] = min(place, result.first.get(name, place))
            if one.stopped:
                raise StoppedError(f"more than {self.bounds.memory:,} bytes of memory")
        look_at_bounds(self.bounds, result, time.perf_counter() - started, self.until_refuted)

    @staticmethod
    def _progress(result: ShardedExploration, told: list[Told], started: float) -> Progress:
        frontier = result.levels[-1] - result.levels[-2]
        seconds, memory = time.perf_counter() - started, sum(t.memory for t in told)
        return Progress(result.states, result.transitions, result.depth, frontier, seconds, memory)
