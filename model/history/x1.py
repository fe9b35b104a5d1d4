"""X1, upstream v1.6.0 to the newest: the response writer frees a buffer twice.

``Response.writeChunk``, with a head buffered and a packet of 64 KiB or more, sends the head and
frees its buffer; then it cuts that buffer's length to nothing, appends the data to it, sends it,
and frees it again. In between, and afterwards, others are given the buffer: the first body that
gets it finds its length cut or its bytes overwritten, and two bodies that get it after that share
it. Nobody here does anything wrong with a body.

Since v1.6.0 what is freed is a pointer to a slice header, which all its holders share; so a length
that one of them cuts is cut for all. A body's buffer has length 1, the response's data 2.
"""

from dataclasses import replace

from model.history.at import At
from model.history.f3 import F3
from model.history.g3 import G3
from model.history.g4 import G4
from model.history.script import BLOCK, Design, Line
from model.history.steps import COPY, TAKE
from nbio.verify.expr import minimum


def _load_length(a: At) -> None:
    length = a.s.lengths[a.k]
    a.do.when(a.s.held[a.p] == a.k + 1)
    a.do.set(a.s.took[a.p], minimum(length, 1))
    a.goto("engine", length == 0)


def _copy(a: At) -> None:
    COPY.effect(a)
    # Of a longer buffer something is left: it is neither freed nor popped.
    longer = a.s.lengths[a.k] > 1
    a.goto("count", longer)
    a.do.set(a.s.held[a.p], 0, longer)


def _take(a: At) -> None:
    a.store(a.s.left, a.s.count[a.p] - a.s.took[a.p])
    a.do.set(a.s.count[a.p], 0)
    a.do.set(a.s.took[a.p], 0)
    # Nothing was copied: on with the next buffer, if any is said to be left.
    again = (a.s.took[a.p] == 0) & (a.s.count[a.p] > 0)
    a.goto("first", again)


SHARED_TAKE = (
    Line("length", "loads len(buf {k})", _load_length, BLOCK),
    Line("copy", "copies from buf {k}", _copy, BLOCK),
    *TAKE[1:-1],
    Line("take", "stores left-n", _take),
)


def _shared(design: Design, name: str, says: str) -> Design:
    """The design with lengths that can change under a reader, and a response beside it."""
    start = design.read.index(TAKE[0])
    end = start + len(TAKE)
    read = (*design.read[:start], *SHARED_TAKE, *design.read[end:])
    return replace(
        design,
        name=name,
        says=says,
        fields=(*design.fields, "lengths"),
        read=read,
        writes=WRITES,
    )


def _malloc_head(a: At) -> None:
    a.do.when(a.ground.lowest_free(a.k))
    a.ground.malloc(a.do, a.k)
    a.do.set(a.s.lengths[a.k], 1)
    a.do.set(a.s.held[a.p], a.k + 1)


def _mine(a: At) -> None:
    a.do.when(a.s.held[a.p] == a.k + 1)


def _fill(a: At) -> None:
    _mine(a)
    a.ground.fill(a.do, a.k, a.r)


def _send(a: At) -> None:
    _mine(a)
    a.ground.look(a.do, a.k, a.r)


def _free(a: At) -> None:
    _mine(a)
    a.ground.free(a.do, a.k)


def _cut(a: At) -> None:
    _mine(a)
    a.do.set(a.s.lengths[a.k], 0)


def _append(a: At) -> None:
    _fill(a)
    a.do.set(a.s.lengths[a.k], 2)


HEAD = (
    Line("malloc", "Malloc -> buf {k} for the head", _malloc_head, BLOCK),
    Line("fill", "copies the head into buf {k}", _fill, BLOCK),
    Line("send", "sends the head from buf {k}", _send, BLOCK),
    Line("free", "Free(buf {k})", _free, BLOCK),
)
DATA = (
    Line("append", "appends the data to buf {k}", _append, BLOCK),
    Line("send_data", "sends the data from buf {k}", _send, BLOCK),
    Line("free_again", "Free(buf {k}) again", _free, BLOCK),
)
WRITES = (*HEAD, Line("cut", "stores len(buf {k})=0", _cut, BLOCK), *DATA)

X1_G3 = _shared(G3, "X1-G3", "the response writer's double free beside G3's readers")
X1_G4 = _shared(G4, "X1-G4", "the response writer's double free beside G4's readers")
X1_F3 = _shared(F3, "X1-F3", "the response writer's double free beside the final design's readers")
X1_MENDED = replace(
    X1_G4,
    name="X1-mended",
    says="G4's readers beside a response writer that gets a new buffer for the data",
    writes=(
        *HEAD,
        Line("malloc_data", "Malloc -> buf {k} for the data", _malloc_head, BLOCK),
        *DATA,
    ),
)
