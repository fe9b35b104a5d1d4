"""Where something was acquired or closed, cheaply enough to ask on every request in debug mode."""

import sys
from types import CodeType
from typing import TypeAlias

Trace: TypeAlias = tuple[tuple[CodeType, int], ...]
"""The innermost frames of a call, innermost first: code and line. Formatted only when shown."""

DEPTH = 16
_HERE = __file__.rpartition("traces.py")[0]
_OWN = frozenset(_HERE + name for name in ("pool.py", "handle.py", "body.py", "views.py"))


def capture() -> Trace:
    """Note who calls, without the frames of this package's pool."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename in _OWN:
        frame = frame.f_back
    trace: list[tuple[CodeType, int]] = []
    caller = frame if frame.f_code.co_filename not in _OWN else None
    while caller is not None and len(trace) < DEPTH:
        trace.append((caller.f_code, caller.f_lineno))
        caller = caller.f_back
    return tuple(trace)


def describe(trace: Trace | None, *, what: str = "acquired") -> str:
    """Say where, in the order of a traceback; or how to find out, when it wasn't noted."""
    if not trace:
        return f'{what} at an unrecorded place (safety="debug" records every one)'
    lines = [
        f'  File "{code.co_filename}", line {line}, in {code.co_qualname}'
        for code, line in reversed(trace)
    ]
    return "\n".join([f"{what} at (innermost last):", *lines])
