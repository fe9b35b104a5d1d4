"""G1, upstream v1.5.4 to v1.5.11: Close itself puts the reader back; the framework closes again.

The second Close, by releaseRequest, meets a reader that may have a new owner by then: this is the
double close of issue 445.
"""

from model.history.script import Design
from model.history.steps import APPEND, FREE_ALL, GET, PUT, READ, STORE_ENGINE, ZERO

G1 = Design(
    name="G1",
    versions="upstream v1.5.4 to v1.5.11",
    says="Close frees, zeroes and puts; releaseRequest closes again",
    fields=("left", "buffers", "engine"),
    acquire=(GET, STORE_ENGINE),
    append=APPEND,
    read=READ,
    close=(*FREE_ALL, *ZERO, PUT),
)
