"""What is wrong with a model, and where it says so."""

from __future__ import annotations

import sys


class ModelError(Exception):
    """A model says something that cannot be meant; the message names the place."""


class NoValueError(ModelError, TypeError):
    """A node was asked for a value. A TypeError, so that what probes with hash() moves on."""


def caller() -> str:
    """``file:line`` of the nearest frame outside this package, for error messages."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(
        "nbio.verify."
    ):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
