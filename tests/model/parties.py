"""Who runs a design's code in a replay, and what they share: allocator, pool, handles, bytes.

Each party does what its part of the trace chooses; what a run shows of the properties is noted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from model.history.script import Design
from nbio.verify import replay
from nbio.verify.replay import Move

if TYPE_CHECKING:
    from tests.model.counterparts import G0


class BusyError(Exception):
    """Another Read is under way."""


class Block:
    """A buffer of the allocator."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.data = b""
        # In the slice header that all holders of a block share (it matters beside a response).
        self.length = 1


class Engine:
    """The allocator, lowest number first; it takes back whatever it is given, as upstream's did."""

    def __init__(self, blocks: int) -> None:
        self.idle = [Block(k) for k in range(blocks)]
        self.seen: set[str] = set()

    def malloc(self) -> Block:
        """A block that is listed as free."""
        self.idle.sort(key=lambda b: b.number)
        block = self.idle.pop(0)
        block.length = 1
        return block

    def free(self, block: Block) -> None:
        """Take a block back."""
        if block in self.idle:
            self.seen.add("P2")
        self.idle.append(block)

    def read(self, block: Block) -> bytes:
        """A copy of a block's bytes."""
        if block in self.idle:
            self.seen.add("P4")
        return block.data


@dataclass
class World:
    """What the parties share: allocator, pool, who got which bytes, and each request's handle."""

    engine: Engine
    pool: list[G0] = field(default_factory=list)
    got: list[tuple[int, bytes]] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)
    handles: dict[int, Handle] = field(default_factory=dict)
    closing: set[int] = field(default_factory=set)
    shut: set[int] = field(default_factory=set)
    live: dict[int, G0] = field(default_factory=dict)

    def get(self, number: int, r: int) -> G0:
        """Out of the pool, which may give any of its readers, the one of this number."""
        reader = next(x for x in self.pool if x.number == number)
        self.pool.remove(reader)
        if reader in self.live.values():
            self.engine.seen.add("P5")
        self.live[r] = reader
        return reader

    def put(self, reader: G0, r: int) -> None:
        """Into the pool, once more if it is there already."""
        self.pool.append(reader)
        if self.live.get(r) is reader:
            del self.live[r]


@dataclass
class Handle:
    """What a request's parties hold."""

    reader: G0
    stamp: int = 0


class Here:
    """One call of an operation: what its marks are called, and through which handle it is made."""

    def __init__(
        self,
        operation: str,
        r: int,
        world: World,
        part: str = "",
        handle: Handle | None = None,
    ) -> None:
        self.operation, self.r, self.world, self.part = operation, r, world, part
        self._handle = handle

    def __call__(self, line: str, **params: int) -> None:
        replay.at(f"{self.operation}_{line}{self.part}", r=self.r, **params)

    @property
    def handle(self) -> Handle:
        """The request's handle, or the one it was given."""
        return self._handle or self.world.handles[self.r]


_ACTION = re.compile(r"(?:second_|leftover_|closer_)?(acquire|read|close|deferred)_(.*)")


@dataclass(frozen=True)
class Plan:
    """What a trace has one party choose: what the pools' Gets give it, and its operations."""

    reader: int
    struct: int
    operations: tuple[str, ...]
    deferred: bool


def plan(moves: Iterable[Move], actor: str, design: Design) -> Plan:
    """Read off the trace."""
    late = design.evaluates if actor.startswith("leftover") else ()
    first = {"read": (*late, *design.read)[0].name, "close": (*late, *design.close)[0].name}
    reader, struct, deferred = 0, 0, False
    chosen: list[str] = []
    for move in moves:
        found = _ACTION.fullmatch(move.action) if move.actor == actor else None
        if found is None:
            continue
        operation, line = found.groups()
        if line == "get":
            reader = move.params["o"]
        if line == "get_request":
            struct = move.params["o"]
        if first.get(operation) == line:
            chosen.append(operation)
        deferred |= operation == "deferred"
    return Plan(reader, struct, tuple(chosen), deferred)


def request(world: World, r: int, chosen: Plan, parts: int) -> None:
    """The loop, the handler and the release of request ``r``."""
    replay.at("acquire_get", r=r, o=chosen.reader)
    reader = world.get(chosen.reader, r)
    world.handles[r] = Handle(reader)
    reader.acquire(Here("acquire", r, world))
    for part in range(1 if reader.whole else parts):
        number = str(part) if parts > 1 and not reader.whole else ""
        reader.append(Here("acquire", r, world, number), body(r))
    try:
        operate(world, r, "", chosen.operations)
    except (AttributeError, LookupError, ValueError):
        if chosen.deferred:
            reader.close(Here("deferred", r, world))
        raise
    world.closing.add(r)
    reader.close(Here("release", r, world))
    world.shut.add(r)
    reader.let_go(Here("let_go", r, world))


def operate(world: World, r: int, kind: str, operations: Iterable[str]) -> None:
    """A party's Reads and Closes."""
    for operation in operations:
        perform(Here(f"{kind}{operation}", r, world), operation)


def perform(here: Here, operation: str) -> None:
    """One Read or Close, and what it shows."""
    world, r, reader = here.world, here.r, here.handle.reader
    if operation == "close":
        world.closing.add(r)
        reader.close(here)
        world.shut.add(r)
        return
    late = r in world.shut
    try:
        data = reader.read(here)
    except BusyError:
        return
    except (AttributeError, LookupError, ValueError):
        if late:
            world.engine.seen.add("P9")
        raise
    if late and data:
        world.engine.seen.add("P9")
    fed = any(found for q, found in world.got if q == r)
    if not data and not fed and r not in world.closing:
        world.engine.seen.add("P11")
    world.got.append((r, data))


def body(r: int) -> bytes:
    """The bytes of request ``r``."""
    return f"body of {r}".encode()
