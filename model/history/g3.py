"""G3, upstream v1.6.0 to v1.6.9: buffers become pointers to slices that the allocator shares.

Step by step it is G2. The difference shows where two owners of one block disagree on its length:
see ``model/history/x1.py``.
"""

from dataclasses import replace

from model.history.g2 import G2

G3 = replace(
    G2,
    name="G3",
    versions="upstream v1.6.0 to v1.6.9",
    says="as G2; a buffer is a pointer to a slice header that the allocator shares",
)
