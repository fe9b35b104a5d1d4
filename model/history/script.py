"""What a design is made of: lines, each one memory step, and who runs them.

A design (:class:`Design`) is a handful of lists of :class:`Line`. Each request has one party that
builds the body (the I/O loop), then runs the handler, then the framework's release, one after the
other as upstream did; some have further holders of the body (:class:`Bounds`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from nbio.verify.spec import Index

if TYPE_CHECKING:
    from model.history.at import At

READER, BLOCK = "reader", "block"
"""What a line may be said over: it then names the one it acts on in its story."""


@dataclass(frozen=True)
class Line:
    """One memory step: a label, what a story says of it, what it does, what it is said over."""

    name: str
    says: str
    effect: Callable[[At], None]
    over: str = ""


@dataclass(frozen=True)
class Design:
    """A generation: what its operations do, line by line.

    ``fields``: the reader's, as far as they can differ from one state to the next. ``append`` runs
    once for each buffer of a body; ``release`` comes after the framework's Close.
    ``whole``: a body is one buffer, of as many parts as others have buffers. ``pools``: readers
    are pooled (else each request has a fresh one). ``evaluates`` is what a leftover does first in
    each of its operations, ``writes`` what a response does that uses the same allocator.
    """

    name: str
    versions: str
    says: str
    fields: tuple[str, ...]
    acquire: tuple[Line, ...]
    append: tuple[Line, ...]
    read: tuple[Line, ...]
    close: tuple[Line, ...]
    release: tuple[Line, ...] = ()
    whole: bool = False
    pools: bool = True
    evaluates: tuple[Line, ...] = ()
    writes: tuple[Line, ...] = ()


@dataclass(frozen=True)
class Bounds:
    """How much of everything there is, and who holds a body.

    ``ordinary``: through a handle nobody reads or closes once a Close has begun, as a careful
    handler would. The first ``joined``, ``leftovers``, ``closers`` requests have such a holder; the
    last ``bodiless`` requests have no body. ``responses`` are written beside them.
    """

    requests: int = 2
    buffers: int = 1
    operations: int = 2
    ordinary: int = 1
    joined: int = 0
    leftovers: int = 0
    closers: int = 0
    bodiless: int = 0
    responses: int = 0


@dataclass(frozen=True)
class Cast:
    """Parties of one kind: how many, the number of the first, and what stories call them."""

    kind: str
    index: Index
    first: int


@dataclass(frozen=True)
class Placed:
    """A line in a program: its operation, where it starts, where it goes, who runs it."""

    line: Line
    cast: Cast
    operation: str
    label: str
    goes: str
    back: str
    begins: bool

    @property
    def name(self) -> str:
        """The name of its action."""
        kind = "" if self.cast.kind == "request" else f"{self.cast.kind}_"
        return f"{kind}{self.operation}_{self.line.name}"


VOICE: Final = {"write": "writeChunk", "acquire": "loop", "release": "release", "let_go": "release"}
CALLS: Final = {
    "read": "Read ",
    "close": "Close ",
    "deferred": "deferred Close ",
    "release": "Close ",
}
READS: Final = ("read",)
CLOSES: Final = ("close", "deferred", "release")
BEGIN, IDLE, DEFERRED, PANICKED, OVER = "begin", "idle", "deferred", "panicked", "over"


def operation(
    cast: Cast, name: str, lines: Sequence[Line], entry: str, back: str
) -> Iterator[Placed]:
    """The lines of one operation, in order, from the label ``entry`` on."""
    labels = [f"{name}.{line.name}" for line in lines]
    for i, line in enumerate(lines):
        goes = labels[i + 1] if i + 1 < len(lines) else back
        label = entry if i == 0 else labels[i]
        yield Placed(line, cast, name, label, goes, back, begins=i == 0)
