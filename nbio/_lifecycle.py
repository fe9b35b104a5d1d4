"""The slot's transition functions: what the body pool runs.

Emitted from model/lifecycle.py by `python -m model emit`; do not edit.
SHA-256 of the statement: fc8e854fbf2fb7061ec761f86eb395b7f59235fcec0504dfb523f4b71e9366a1

Fields and parameters in, the outcome and the new values of the written fields out. An
outcome below zero is a refusal: the fields come back as they went in.
"""

from typing import Final

# Where a slot is in its life.
FREE: Final = 0
OPEN: Final = 1
CLOSING: Final = 2

# Who looks at the slot's contents: nobody, a copy inside one call, an iterator of views.
NONE: Final = 0
COPY: Final = 1
VIEW: Final = 2

# What an event came to; below zero it was refused.
OK: Final = 0
"""It happened."""
RECYCLED: Final = 1
"""The slot is free: free its blocks and put it back, exactly once."""
DEFERRED: Final = 2
"""Closed, but a lease is out: its return recycles the slot."""
PAUSE: Final = 3
"""Fed, and the feeder must stop reading from its socket."""
RESUME: Final = 4
"""The lease is back, and the feeder may read from its socket again."""
EMPTIED: Final = 5
"""The waiter no longer waits, and holds no lease: nothing can be taken."""
STALE: Final = -1
"""The handle is of an earlier generation: its request gave the slot back."""
CLOSED: Final = -2
"""The body was closed."""
BUSY: Final = -3
"""Another reader holds the lease or waits."""
EMPTY: Final = -4
"""Nothing has arrived yet: wait."""
ENDED: Final = -5
"""The body has ended."""
FAILED: Final = -6
"""The body was cut off."""
READY: Final = -7
"""No need to wait: something can be taken, or the body ended or failed."""
NOT_WAITING: Final = -8
"""Nobody waits."""
NOT_FREE: Final = -9
"""The slot is in use."""
ALREADY: Final = -10
"""It was closed before; the first close decides."""
KEPT: Final = -11
"""Detached: whoever detached the body closes it."""


def acquire(state: int) -> tuple[int, int]:
    """A request takes the slot from the pool.

    Returns (outcome, state).
    """
    if state != FREE:  # a slot has one owner
        return (NOT_FREE, state)
    # recycling has reset every other field
    return (OK, OPEN)


def feed(
    state: int,
    generation: int,
    ended: bool,
    failed: bool,
    held: int,
    paused: bool,
    presented: int,
    blocks: int,
    high: int,
) -> tuple[int, int, bool]:
    """Bytes arrived, in `blocks` further blocks (0: they fitted into the last one).

    Returns (outcome, held, paused).
    """
    if presented != generation:  # a handle is valid only while its generation is the slot's
        return (STALE, held, paused)
    if state != OPEN:  # bytes for a closed body are dropped
        return (CLOSED, held, paused)
    if ended or failed:  # nothing follows the end of a body
        return (ENDED, held, paused)
    if high <= held + blocks:  # the high-water mark counts capacity, in blocks
        return (PAUSE, held + blocks, True)
    # there is room for more
    return (OK, held + blocks, paused)


def finish(
    state: int, generation: int, ended: bool, failed: bool, presented: int
) -> tuple[int, bool]:
    """The end of the body was seen.

    Returns (outcome, ended).
    """
    if presented != generation:  # a handle is valid only while its generation is the slot's
        return (STALE, ended)
    if state != OPEN:  # nobody will read it
        return (CLOSED, ended)
    if ended or failed:  # a body ends once
        return (ENDED, ended)
    # readers now meet the end
    return (OK, True)


def fail(
    state: int, generation: int, ended: bool, failed: bool, paused: bool, presented: int
) -> tuple[int, bool, bool]:
    """The body was cut off: a disconnect, a bad chunk, a limit.

    Returns (outcome, failed, paused).
    """
    if presented != generation:  # a handle is valid only while its generation is the slot's
        return (STALE, failed, paused)
    if state != OPEN:  # nobody will read it
        return (CLOSED, failed, paused)
    if ended or failed:  # a complete body is not truncated afterwards
        return (ENDED, failed, paused)
    # readers now meet the error
    return (OK, True, False)


def wait(
    state: int,
    generation: int,
    leased: int,
    waiting: bool,
    ended: bool,
    failed: bool,
    held: int,
    presented: int,
) -> tuple[int, bool]:
    """A reader found nothing and goes to sleep.

    Returns (outcome, waiting).
    """
    if presented != generation:  # a handle is valid only while its generation is the slot's
        return (STALE, waiting)
    if state != OPEN:  # nothing will come
        return (CLOSED, waiting)
    if leased != NONE or waiting:  # one reader at a time
        return (BUSY, waiting)
    if held > 0 or ended or failed:  # asleep it would not be woken again
        return (READY, waiting)
    # feed, finish, fail and close wake it
    return (OK, True)


def wake(
    generation: int, leased: int, waiting: bool, failed: bool, held: int, presented: int, kind: int
) -> tuple[int, int, bool]:
    """The waiter's own step, when it was woken or cancelled; nobody can take its turn.

    Returns (outcome, leased, waiting).
    """
    if presented != generation:  # the body was closed while it slept
        return (STALE, leased, waiting)
    if not waiting:  # only the waiter wakes
        return (NOT_WAITING, leased, waiting)
    if held > 0 and not failed:  # it takes the lease in the same step
        return (OK, kind, False)
    # nothing came, or the end, or a failure
    return (EMPTIED, leased, False)


def lease(
    state: int,
    generation: int,
    leased: int,
    waiting: bool,
    ended: bool,
    failed: bool,
    held: int,
    presented: int,
    kind: int,
) -> tuple[int, int]:
    """A reader takes the exclusive hold on the contents.

    Returns (outcome, leased).
    """
    if presented != generation:  # a handle is valid only while its generation is the slot's
        return (STALE, leased)
    if state != OPEN:  # a read after close is an error, never data
        return (CLOSED, leased)
    if leased != NONE or waiting:  # exclusive: two readers would free the same block
        return (BUSY, leased)
    if failed:  # a truncated body is never passed off as whole
        return (FAILED, leased)
    if held == 0 and ended:  # the end is reported after the last byte
        return (ENDED, leased)
    if held == 0:  # nothing has arrived yet
        return (EMPTY, leased)
    # no one frees under a reader
    return (OK, kind)


def unlease(
    state: int,
    generation: int,
    leased: int,
    waiting: bool,
    ended: bool,
    failed: bool,
    detached: bool,
    held: int,
    paused: bool,
    presented: int,
    freed: int,
    low: int,
) -> tuple[int, int, int, int, bool, bool, bool, bool, int, bool]:
    """The holder gives the lease back; it exhausted `freed` blocks.

    Returns (outcome, state, generation, leased, waiting, ended, failed, detached, held, paused).
    """
    if presented != generation:  # the release revoked it (VIEW only)
        return (STALE, state, generation, leased, waiting, ended, failed, detached, held, paused)
    if state == CLOSING:  # the last one out finalises
        return (RECYCLED, FREE, generation + 1, NONE, False, False, False, False, 0, False)
    if paused and held - freed <= low:  # drained to the low-water mark
        return (
            RESUME,
            state,
            generation,
            NONE,
            waiting,
            ended,
            failed,
            detached,
            held - freed,
            False,
        )
    # the next reader may come
    return (OK, state, generation, NONE, waiting, ended, failed, detached, held - freed, paused)


def close(
    state: int,
    generation: int,
    leased: int,
    waiting: bool,
    ended: bool,
    failed: bool,
    detached: bool,
    held: int,
    paused: bool,
    presented: int,
) -> tuple[int, int, int, int, bool, bool, bool, bool, int, bool]:
    """Anyone, at any time, any number of times.

    Returns (outcome, state, generation, leased, waiting, ended, failed, detached, held, paused).
    """
    if presented != generation:  # a handle is valid only while its generation is the slot's
        return (STALE, state, generation, leased, waiting, ended, failed, detached, held, paused)
    if state != OPEN:  # the first close decides, later ones count
        return (ALREADY, state, generation, leased, waiting, ended, failed, detached, held, paused)
    if leased != NONE:  # nobody frees under a reader
        return (
            DEFERRED,
            CLOSING,
            generation,
            leased,
            waiting,
            ended,
            failed,
            detached,
            held,
            False,
        )
    # no lease is out; a waiter wakes up stale
    return (RECYCLED, FREE, generation + 1, NONE, False, False, False, False, 0, False)


def release(
    state: int,
    generation: int,
    leased: int,
    waiting: bool,
    ended: bool,
    failed: bool,
    detached: bool,
    held: int,
    paused: bool,
    presented: int,
) -> tuple[int, int, int, int, bool, bool, bool, bool, int, bool]:
    """The framework's, at the end of every request.

    Returns (outcome, state, generation, leased, waiting, ended, failed, detached, held, paused).
    """
    if presented != generation:  # the handler closed it: nothing to do
        return (STALE, state, generation, leased, waiting, ended, failed, detached, held, paused)
    if state == OPEN and detached:  # it outlives its request
        return (KEPT, state, generation, leased, waiting, ended, failed, detached, held, paused)
    if state != OPEN and leased == COPY:  # its return recycles
        return (ALREADY, state, generation, leased, waiting, ended, failed, detached, held, paused)
    if leased == COPY:  # a running thread's copy may hold recycling up
        return (
            DEFERRED,
            CLOSING,
            generation,
            leased,
            waiting,
            ended,
            failed,
            detached,
            held,
            False,
        )
    # a VIEW lease is revoked
    return (RECYCLED, FREE, generation + 1, NONE, False, False, False, False, 0, False)


def detach(state: int, generation: int, detached: bool, presented: int) -> tuple[int, bool]:
    """The handler keeps the body past its request.

    Returns (outcome, detached).
    """
    if presented != generation:  # a handle is valid only while its generation is the slot's
        return (STALE, detached)
    if state != OPEN:  # there is nothing to keep
        return (CLOSED, detached)
    # release now leaves it alone
    return (OK, True)


def finalize(
    state: int,
    generation: int,
    leased: int,
    waiting: bool,
    ended: bool,
    failed: bool,
    detached: bool,
    held: int,
    paused: bool,
    presented: int,
) -> tuple[int, int, int, int, bool, bool, bool, bool, int, bool]:
    """Nobody can reach the handle any more (drained).

    Returns (outcome, state, generation, leased, waiting, ended, failed, detached, held, paused).
    """
    if presented != generation:  # it was given back in time: no leak
        return (STALE, state, generation, leased, waiting, ended, failed, detached, held, paused)
    # a leak: reported, and mended
    return (RECYCLED, FREE, generation + 1, NONE, False, False, False, False, 0, False)


EVENTS: Final = (
    "acquire",
    "close",
    "detach",
    "fail",
    "feed",
    "finalize",
    "finish",
    "lease",
    "release",
    "unlease",
    "wait",
    "wake",
)


WRITES: Final = {
    "acquire": "state",
    "close": "state generation leased waiting ended failed detached held paused",
    "detach": "detached",
    "fail": "failed paused",
    "feed": "held paused",
    "finalize": "state generation leased waiting ended failed detached held paused",
    "finish": "ended",
    "lease": "leased",
    "release": "state generation leased waiting ended failed detached held paused",
    "unlease": "state generation leased waiting ended failed detached held paused",
    "wait": "waiting",
    "wake": "leased waiting",
}


OUTCOMES: Final = {
    0: "OK",
    1: "RECYCLED",
    2: "DEFERRED",
    3: "PAUSE",
    4: "RESUME",
    5: "EMPTIED",
    -1: "STALE",
    -2: "CLOSED",
    -3: "BUSY",
    -4: "EMPTY",
    -5: "ENDED",
    -6: "FAILED",
    -7: "READY",
    -8: "NOT_WAITING",
    -9: "NOT_FREE",
    -10: "ALREADY",
    -11: "KEPT",
}
