"""G4, upstream v1.6.10 to v1.6.12: Read looks at ``closed``, Close empties the list.

For one goroutine that holds. With two, the flag is looked at before the Read and not during it.
"""

from dataclasses import replace

from model.history.at import At
from model.history.g2 import G2
from model.history.script import Line
from model.history.steps import (
    ANY_LEFT,
    GET,
    OPEN_FLAG,
    READ_IF_OPEN,
    STORE_ENGINE,
    TAKE,
    ZERO_BUFFERS,
    ZERO_LEFT,
)


def _first_if_any(a: At) -> None:
    first = a.listed()[0]
    a.do.set(a.s.held[a.p], first)
    a.pass_by("none", first != 0)


def _none_left(a: At) -> None:
    a.store(a.s.left, 0)
    a.end_of_body(True)


G4 = replace(
    G2,
    name="G4",
    versions="upstream v1.6.10 to v1.6.12",
    says="as G2; Read checks closed at its entry, Close empties the list, acquire resets all",
    acquire=(GET, ZERO_LEFT, ZERO_BUFFERS, STORE_ENGINE, OPEN_FLAG),
    read=(
        READ_IF_OPEN,
        ANY_LEFT,
        Line("first", "loads buffers[0]", _first_if_any),
        Line("none", "stores left=0: no buffer", _none_left),
        *TAKE,
    ),
    close=(*G2.close, ZERO_BUFFERS, ZERO_LEFT),
)
