"""F3: F2w, and an exclusive read lease in the same word; the last one out finalises.

This is the final design at the grain of memory steps, with a fresh handle (reader, generation) for
each request.
"""

from dataclasses import replace

from model.history.f2w import F2W
from model.history.steps import (
    DEFER_OR_SWAP,
    FINALISE,
    LEASE,
    LEASED_READ,
    UNLEASE,
    last_part,
)

F3 = replace(
    F2W,
    name="F3",
    versions="the final design",
    says="generation, flag and an exclusive read lease in one word; the last one out finalises",
    fields=(*F2W.fields, "leases"),
    read=(LEASE, *LEASED_READ, UNLEASE, *last_part(FINALISE)),
    close=(DEFER_OR_SWAP, *FINALISE),
)
