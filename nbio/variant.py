"""Which nbio runs: the source, or what mypyc made of it (`NBIO_COMPILE=1 pip install .`).

And what the source says to the compiler, which is nothing to the interpreter.
"""

from collections.abc import Callable
from types import FunctionType
from typing import TYPE_CHECKING, Final, TypeVar

from nbio import _lifecycle

if TYPE_CHECKING:
    from mypy_extensions import mypyc_attr as mypyc_attr
else:
    T = TypeVar("T")

    def mypyc_attr(**_: bool) -> Callable[[T], T]:
        return lambda cls: cls


COMPILED: Final = not isinstance(_lifecycle.acquire, FunctionType)
"""Whether the server's inner part is compiled. It does what the source does; the proofs are its."""


class Referable:
    """A base for what can be weakly referred to, as a compiled class without any can't be."""

    __slots__ = ()
