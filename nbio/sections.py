"""The pool's locked sections, registered, so that a finalizer can tell that it interrupted one.

The garbage collector may run at any allocation, also inside a locked section, and then it runs
whatever finalizers it finds: an application's `__del__` that closes a body, or the `finally`
of a collected coroutine. On a plain lock such a call would wait for the very thread it runs on.
A re-entrant lock would not wait, and would see a slot between two stores. So a call that may
come from a finalizer tries the lock, and only when that fails looks at its own stack: when a
section is on it, the call is put on the pool's queue instead, as our own finalizer does always.

Looking at the stack costs a microsecond or so, and only on contention; keeping an owner up to
date would cost every section of every request.

Compiled functions have no frames to be found by. So there the lock is one that knows its owner,
and `locked` asks whether that is the calling thread: the same question, answered exactly. It is
re-entrant, which no section makes use of.
"""

import _thread
import sys
import threading
from collections.abc import Callable
from types import CodeType, FunctionType, TracebackType
from typing import Any, Final, Protocol, TypeVar

from nbio.variant import COMPILED

F = TypeVar("F", bound=Callable[..., object])

SECTIONS: Final[set[CodeType]] = set()


def section(function: F) -> F:
    """Register a function that holds a pool's lock for its body, more or less. Free later."""
    assert isinstance(function, FunctionType)
    SECTIONS.add(function.__code__)
    return function


class Lock(Protocol):
    """A pool's lock."""

    def __enter__(self) -> bool: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...

    def locked(self) -> bool:
        """Whether it is taken; of an OwnedLock, whether this thread has taken it."""


# What typeshed calls final isn't, and `_is_owned`, which threading.Condition calls, it leaves out.
_rlock: Any = _thread.RLock
OwnedLock: Final[Callable[[], Lock]] = type(
    "OwnedLock", (_rlock,), {"__slots__": (), "locked": _rlock._is_owned}
)
"""The lock of a compiled pool."""


def new_lock() -> Lock:
    """A lock for a pool."""
    return OwnedLock() if COMPILED else threading.Lock()


def interrupted() -> bool:
    """Whether a locked section is on this thread's stack, below the one that asks.

    To be called by a function that a section calls. False is never said wrongly. True might
    be, of a section's unlocked end; so what a section does there runs no other section, and
    the pool's queue is drained by functions that are none.
    """
    if COMPILED:
        # The lock has said so before this was called.
        return True
    asker = sys._getframe(2)
    frame = asker.f_back
    while frame is not None:
        if frame.f_code in SECTIONS:
            return True
        frame = frame.f_back
    return False
