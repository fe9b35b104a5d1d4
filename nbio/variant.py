"""Which nbio runs: the source, or what mypyc made of it (`NBIO_COMPILE=1 pip install .`)."""

from types import FunctionType
from typing import Final

from nbio import _lifecycle

COMPILED: Final = not isinstance(_lifecycle.acquire, FunctionType)
"""Whether the server's inner part is compiled. Its meaning is the source's, and the proofs are."""
