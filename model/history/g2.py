"""G2, upstream v1.5.12: a plain ``closed`` flag, and the Put moves to the framework's release.

Close leaves the fields as they were and Read doesn't look at the flag: a Read after Close reads
what was freed, and frees it again.
"""

from dataclasses import replace

from model.history.g1 import G1
from model.history.steps import FREE_ALL, IF_OPEN, OPEN_FLAG, PUT, STORE_CLOSED, ZERO

G2 = replace(
    G1,
    name="G2",
    versions="upstream v1.5.12",
    says="Close sets closed and frees; releaseRequest zeroes the fields and puts",
    fields=(*G1.fields, "closed"),
    close=(IF_OPEN, STORE_CLOSED, *FREE_ALL),
    release=(*ZERO, OPEN_FLAG, PUT),
)
