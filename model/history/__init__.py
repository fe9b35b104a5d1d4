"""The history of the pooled body reader: each published design and each repair, step by step.

``DESIGNS`` has them by name, ``CONFIGURATIONS`` says who uses a body how. Each file says only what
its design changes; ``docs/history.md`` prints every operation's steps.
"""

from typing import Final

from model.history.f1 import F1
from model.history.f1b import F1B
from model.history.f2 import F2
from model.history.f2w import F2W
from model.history.f3 import F3
from model.history.f3n import F3N
from model.history.f3x import F3X
from model.history.f4 import F4
from model.history.g0 import G0
from model.history.g1 import G1
from model.history.g2 import G2
from model.history.g3 import G3
from model.history.g4 import G4
from model.history.script import Bounds, Design
from model.history.stage import Stage
from model.history.x1 import X1_F3, X1_G3, X1_G4, X1_MENDED
from model.history.x2 import X2
from nbio.verify.spec import Model

DESIGNS: Final = {d.name: d for d in (G0, G1, G2, G3, G4, F1, F1B, F2, F2W, F3N, F3X, F3, F4)}

BEYOND: Final = {
    **{d.name: (d, {"requests": 2, "responses": 1}) for d in (X1_G3, X1_G4, X1_F3, X1_MENDED)},
    "X2": (X2, {"ordinary": 0, "leftovers": 1}),
}
"""What goes wrong beside the reader: a design, and where its bounds differ."""

CONFIGURATIONS: Final[dict[str, tuple[str, dict[str, int]]]] = {
    "A": ("ordinary use: Reads, at most one Close, then release; nobody else holds it", {}),
    "A3": ("the same with three requests and one operation each", {"requests": 3, "operations": 1}),
    "B": (
        "one goroutine, Read and Close in any order, double Close",
        {"buffers": 2, "operations": 3, "ordinary": 0},
    ),
    "J": (
        "two goroutines on one live body, both joined before release",
        {"ordinary": 0, "joined": 1},
    ),
    "C": (
        "a leftover keeps the body past release and re-acquire",
        {"ordinary": 0, "leftovers": 1},
    ),
}
"""What each configuration says, and where its bounds differ from :class:`Bounds`' own."""


def historic(
    design: Design,
    *,
    requests: int = 2,
    buffers: int = 1,
    operations: int = 2,
    ordinary: int = 1,
    joined: int = 0,
    leftovers: int = 0,
    closers: int = 0,
    bodiless: int = 0,
    responses: int = 0,
) -> Model:
    """A design at the given bounds; see :class:`~model.history.script.Bounds`."""
    bounds = Bounds(
        requests, buffers, operations, ordinary, joined, leftovers, closers, bodiless, responses
    )
    return Stage(design, bounds).m


def published_advice() -> Model:
    """F1 in ordinary use: ``python -m nbio.verify check model.history:published_advice``."""
    return historic(F1)
