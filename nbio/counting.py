"""What the block pool decides and derives from its counters: pure, so that contracts hold of it.

A block that was made is idle, out, or gone: given up, because somebody could still see it, or
dropped, because enough were idle. The counters say how many were made and are gone.
"""

QUARANTINE = 32
"""How many freed blocks must follow before a block is used again in debug mode."""


def may_make(made: int, given_up: int, dropped: int, most: int) -> bool:
    """Whether one more block may be out, when none is idle; `most` at once."""
    return made - given_up - dropped < most


def is_rested(idle: int, made: int, given_up: int, dropped: int, most: int) -> bool:
    """Whether the block freed longest ago may be used again, in debug mode.

    Only when enough others were freed after it; or when no further block may be made.
    """
    return idle > QUARANTINE or (idle > 0 and not may_make(made, given_up, dropped, most))


def counts(
    made: int, reused: int, given_up: int, dropped: int, idle: int
) -> tuple[int, int, int, int, int]:
    """Return acquired, released, given up, outstanding and idle."""
    out = made - given_up - dropped - idle
    acquired = made + reused
    return acquired, acquired - given_up - out, given_up, out, idle
