"""F4: no pool of readers. Each request has a fresh one, with F3's lease; buffers are pooled."""

from dataclasses import replace

from model.history.at import At
from model.history.f3 import F3
from model.history.script import READER, Line
from model.history.steps import (
    DEFER_OR_SWAP,
    FREE_ALL,
    LEASE,
    LEASED_READ,
    STORE_ENGINE,
    UNLEASE,
    last_part,
)


def _new(a: At) -> None:
    a.do.when(a.o == a.r)
    a.do.set(a.s.body[a.r], a.o)
    a.do.set(a.ground.owner[a.o], a.r)


F4 = replace(
    F3,
    name="F4",
    versions="a repair",
    says="a fresh reader for each request, with F3's lease; only buffers are pooled",
    fields=("left", "buffers", "engine", "closed", "leases"),
    acquire=(Line("new", "a new reader {o}", _new, READER), STORE_ENGINE),
    read=(LEASE, *LEASED_READ, UNLEASE, *last_part(FREE_ALL)),
    close=(DEFER_OR_SWAP, *FREE_ALL),
    pools=False,
)
