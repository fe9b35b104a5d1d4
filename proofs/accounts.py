"""TRUSTED: what each function of `nbio/counting.py` does: the block pool's accounts.

As in `proofs/contracts.py`: CrossHair must confirm each condition over all paths. Here there are
preconditions, what the block pool keeps true of its counters.
"""
# ruff: noqa: F401  (CrossHair evaluates the conditions in the docstrings, in this module)

from nbio import counting
from nbio.counting import QUARANTINE

FUNCTIONS = ("may_make", "is_rested", "counts")


def may_make(made: int, given_up: int, dropped: int, most: int) -> bool:
    """
    post: _ == (made < most + given_up + dropped)
    post: implies(_, made + 1 - given_up - dropped <= most)
    post: implies(not _, made + 1 - given_up - dropped > most)
    """
    return counting.may_make(made, given_up, dropped, most)


def is_rested(idle: int, made: int, given_up: int, dropped: int, most: int) -> bool:
    """
    pre: idle >= 0
    post: implies(_, idle > 0)
    post: implies(idle > QUARANTINE, _)
    post: implies(0 < idle <= QUARANTINE, _ == (made - given_up - dropped >= most))
    """
    return counting.is_rested(idle, made, given_up, dropped, most)


def counts(
    made: int, reused: int, given_up: int, dropped: int, idle: int
) -> tuple[int, int, int, int, int]:
    """
    pre: min(reused, given_up, dropped, idle) >= 0
    pre: made >= given_up + dropped + idle
    post: _[0] == _[1] + _[2] + _[3]
    post: _[0] == made + reused
    post: _[1] == reused + dropped + idle
    post: (_[2], _[4]) == (given_up, idle)
    post: made == _[2] + dropped + _[3] + _[4]
    post: min(_) >= 0
    """
    return counting.counts(made, reused, given_up, dropped, idle)


def implies(a: bool, b: bool) -> bool:
    """Whether ``b`` holds where ``a`` does."""
    return b or not a
