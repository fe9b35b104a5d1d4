"""Beside the designs: the advice mended, the response writer, the pooled request."""

from __future__ import annotations

from dataclasses import dataclass

from nbio.verify import replay
from tests.model.counterparts import F1, F3, G1, G2, G4
from tests.model.parties import Block, Handle, Here, Plan, World, perform, request


class Mended(F1):
    """F1 with the one change that makes it F2w: what the flag says, it says of one generation.

    Its marks are F1's, so that F1's counterexamples can be tried on it.
    """

    def open(self, here: Here) -> None:
        here("open")
        with self.swapping:
            self.generation, self.closed = self.generation + 1, False
            here.handle.stamp = self.generation

    def swaps(self, here: Here) -> bool:
        here("swap")
        with self.swapping:
            won = not self.closed and self.generation == here.handle.stamp
            self.closed |= won
        return won


HEAD, DATA = b"head", b"bbbb"


class Shared(G1):
    """Read where a block's length can change under it."""

    def take(self, here: Here, block: Block) -> bytes:
        here("length", k=block.number)
        took, data, longer = min(block.length, 1), b"", False
        if took:
            here("copy", k=block.number)
            data, longer = here.world.engine.read(block), block.length > 1
        if not longer:
            here("engine")
            free = self.engine.free
            here("free", k=block.number)
            free(block)
            here("list")
            _, *rest = self.buffers
            here("pop")
            self.buffers = tuple(rest)
        here("count")
        left = self.left
        here("take")
        self.left = left - took
        return data if took or left <= 0 else self.next(here)

    def next(self, here: Here) -> bytes:
        """The next buffer of the list, if there is one."""
        here("first")
        return self.take(here, self.buffers[0])


class X1G3(Shared, G2):
    """G3's reader."""


class X1G4(Shared, G4):
    """G4's reader."""

    def next(self, here: Here) -> bytes:
        return self.first(here)


class X1F3(Shared, F3):
    """The final design's reader."""


def respond(world: World, r: int) -> None:
    """writeChunk: the head, and a packet that is too large to be buffered with it."""
    here, engine = Here("response_write", r, world), world.engine
    here("malloc")
    block = engine.malloc()
    here("fill", k=block.number)
    block.data = HEAD
    here("send", k=block.number)
    world.sent.append(engine.read(block))
    here("free", k=block.number)
    engine.free(block)
    here("cut", k=block.number)
    block.length = 0
    here("append", k=block.number)
    block.data, block.length = DATA, 2
    here("send_data", k=block.number)
    world.sent.append(engine.read(block))
    here("free_again", k=block.number)
    engine.free(block)


@dataclass
class Struct:
    """A pooled request."""

    number: int
    body: Handle | None = None


class X2(F3):
    """The final design's reader, found through a pooled request."""

    structs: dict[int, Struct]
    """The struct of each request; one dictionary for all readers of a run."""

    def acquire(self, here: Here) -> None:
        super().acquire(here)
        here("store_body")
        self.structs[here.r].body = here.handle

    def let_go(self, here: Here) -> None:
        struct = self.structs[here.r]
        here("empty")
        struct.body = None
        here("put_request", o=struct.number)


def request_in_struct(
    world: World, r: int, chosen: Plan, parts: int, idle: list[Struct], given: dict[int, Struct]
) -> None:
    """As :func:`request`, with a request struct out of its pool."""
    replay.at("acquire_get_request", r=r, o=chosen.struct)
    given[r] = idle[chosen.struct]
    request(world, r, chosen, parts)


def late(world: World, r: int, chosen: Plan, given: dict[int, Struct]) -> None:
    """A leftover that keeps the request, and asks it for its body each time."""
    struct = given[r]
    for operation in chosen.operations:
        Here(f"leftover_{operation}", r, world)("evaluate")
        handle = struct.body
        if handle is None:
            raise LookupError("req.Body is nil")
        perform(Here(f"leftover_{operation}", r, world, handle=handle), operation)
