"""G0, upstream up to v1.5.3: one buffer, an index; only the framework puts the reader back.

Close frees the buffer and sets it to nil, Read never frees, and there is one Put a request whatever
the handler does: in ordinary use, and with any number of Closes by one goroutine, that holds.
"""

from model.history.at import At
from model.history.script import BLOCK, Design, Line
from model.history.steps import COPY, FILL, GET, MALLOC, PUT
from nbio.verify.expr import minimum


def _store_buffer(a: At) -> None:
    a.store_list([a.s.held[a.p]])


def _fill_it(a: At) -> None:
    FILL.effect(a)
    a.do.set(a.s.held[a.p], 0)


def _load_buffer(a: At) -> None:
    found = a.listed()[0]
    a.end_of_body(found == 0)
    a.do.set(a.s.held[a.p], found, found != 0)


def _load_index(a: At) -> None:
    index = a.s.index[a.o]
    a.do.set(a.s.count[a.p], index)
    a.end_of_body(index >= a.s.part.size)


def _copied(a: At) -> None:
    COPY.effect(a)
    a.do.set(a.s.held[a.p], 0)
    a.do.set(a.s.count[a.p], 0)


def _count_index(a: At) -> None:
    a.do.set(a.s.count[a.p], a.s.index[a.o])


def _add_index(a: At) -> None:
    a.store(a.s.index, minimum(a.s.count[a.p] + 1, a.s.part.size))


def _if_any(a: At) -> None:
    found = a.listed()[0]
    a.finish(found == 0)
    a.do.set(a.s.held[a.p], found, found != 0)


def _free(a: At) -> None:
    a.do.when(a.s.held[a.p] == a.k + 1)
    a.ground.free(a.do, a.k)
    a.do.set(a.s.held[a.p], 0)


ZERO_INDEX = Line("zero_index", "stores index=0", lambda a: a.store(a.s.index, 0))

G0 = Design(
    name="G0",
    versions="upstream up to v1.5.3",
    says="Close frees the one buffer; one Put a request, by the framework",
    fields=("index", "buffers"),
    acquire=(GET,),
    append=(
        MALLOC,
        Line("buffer", "stores buffer", _store_buffer),
        Line("fill", "copies the body into buf {k}", _fill_it, BLOCK),
        ZERO_INDEX,
    ),
    read=(
        Line("buffer", "loads buffer", _load_buffer),
        Line("index", "loads index", _load_index),
        Line("copy", "copies from buf {k}", _copied, BLOCK),
        Line("count", "loads index", _count_index),
        Line("add", "stores index+1", _add_index),
    ),
    close=(
        Line("buffer", "loads buffer", _if_any),
        Line("free", "Free(buf {k})", _free, BLOCK),
        Line("nil", "stores buffer=nil", lambda a: a.store_list([])),
        ZERO_INDEX,
    ),
    release=(PUT,),
    whole=True,
)
