"""The slot's transition functions (DRAFT by hand; will be emitted from model/lifecycle.py with this very interface)."""

from typing import Final

# States of a slot.
FREE: Final = 0
OPEN: Final = 1
CLOSING: Final = 2

# Kinds of lease.
NONE: Final = 0
COPY: Final = 1
VIEW: Final = 2

# Outcomes: >= 0 the event took effect, < 0 it was refused and changed nothing.
OK: Final = 0
RECYCLED: Final = 1  # the slot is FREE again: free its blocks, put it back, exactly once
DEFERRED: Final = 2  # closed, but a lease is out: its return recycles
PAUSE: Final = 3  # fed, and the feeder must stop reading from its socket
RESUME: Final = 4  # lease returned, and the feeder may read again
EMPTIED: Final = 5  # the waiter stopped waiting and has no lease: nothing to take (yet)
STALE: Final = -1
CLOSED: Final = -2
BUSY: Final = -3
EMPTY: Final = -4
ENDED: Final = -5
FAILED: Final = -6
READY: Final = -7
NOT_WAITING: Final = -8
NOT_FREE: Final = -9
ALREADY: Final = -10
KEPT: Final = -11


def acquire(state: int) -> tuple[int, int]:
    """(outcome, state)"""
    if state != FREE:
        return (NOT_FREE, state)
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
    """(outcome, held, paused)"""
    if presented != generation:
        return (STALE, held, paused)
    if state != OPEN:
        return (CLOSED, held, paused)
    if ended or failed:
        return (ENDED, held, paused)
    if held + blocks >= high:
        return (PAUSE, held + blocks, True)
    return (OK, held + blocks, paused)


def finish(
    state: int, generation: int, ended: bool, failed: bool, presented: int
) -> tuple[int, bool]:
    """(outcome, ended)"""
    if presented != generation:
        return (STALE, ended)
    if state != OPEN:
        return (CLOSED, ended)
    if ended or failed:
        return (ENDED, ended)
    return (OK, True)


def fail(
    state: int, generation: int, ended: bool, failed: bool, paused: bool, presented: int
) -> tuple[int, bool, bool]:
    """(outcome, failed, paused)"""
    if presented != generation:
        return (STALE, failed, paused)
    if state != OPEN:
        return (CLOSED, failed, paused)
    if ended or failed:
        return (ENDED, failed, paused)
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
    """(outcome, waiting)"""
    if presented != generation:
        return (STALE, waiting)
    if state != OPEN:
        return (CLOSED, waiting)
    if leased != NONE or waiting:
        return (BUSY, waiting)
    if held > 0 or ended or failed:
        return (READY, waiting)
    return (OK, True)


def wake(
    generation: int, leased: int, waiting: bool, failed: bool, held: int, presented: int, kind: int
) -> tuple[int, int, bool]:
    """(outcome, leasedd, waiting): the waiter's own step after it was woken (or cancelled)."""
    if presented != generation:
        return (STALE, leased, waiting)
    if not waiting:
        return (NOT_WAITING, leased, waiting)
    if held > 0 and not failed:
        return (OK, kind, False)
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
    """(outcome, leasedd): kind is COPY or VIEW."""
    if presented != generation:
        return (STALE, leased)
    if state != OPEN:
        return (CLOSED, leased)
    if leased != NONE or waiting:
        return (BUSY, leased)
    if failed:
        return (FAILED, leased)
    if held == 0 and ended:
        return (ENDED, leased)
    if held == 0:
        return (EMPTY, leased)
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
    """(outcome, state, generation, leased, waiting, ended, failed, detached, held, paused)

    Precondition (the caller holds the lease of generation `presented`, unless a release revoked it).
    """
    if presented != generation:
        return (STALE, state, generation, leased, waiting, ended, failed, detached, held, paused)
    if state == CLOSING:
        return (RECYCLED, FREE, generation + 1, NONE, False, False, False, False, 0, False)
    if paused and held - freed <= low:
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
    """(outcome, state, generation, leased, waiting, ended, failed, detached, held, paused)"""
    if presented != generation:
        return (STALE, state, generation, leased, waiting, ended, failed, detached, held, paused)
    if state != OPEN:
        return (ALREADY, state, generation, leased, waiting, ended, failed, detached, held, paused)
    if leased != NONE:
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
    """(outcome, state, ...): the framework's, at the end of the request; revokes a VIEW lease."""
    if presented != generation:
        return (STALE, state, generation, leased, waiting, ended, failed, detached, held, paused)
    if state == OPEN and detached:
        return (KEPT, state, generation, leased, waiting, ended, failed, detached, held, paused)
    if state != OPEN and leased == COPY:
        return (ALREADY, state, generation, leased, waiting, ended, failed, detached, held, paused)
    if leased == COPY:
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
    return (RECYCLED, FREE, generation + 1, NONE, False, False, False, False, 0, False)


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
    """(outcome, state, ...): nobody can reach the handle any more (drained from the finalizer queue)."""
    if presented != generation:
        return (STALE, state, generation, leased, waiting, ended, failed, detached, held, paused)
    return (RECYCLED, FREE, generation + 1, NONE, False, False, False, False, 0, False)


def detach(state: int, generation: int, detached: bool, presented: int) -> tuple[int, bool]:
    """(outcome, detached)"""
    if presented != generation:
        return (STALE, detached)
    if state != OPEN:
        return (CLOSED, detached)
    return (OK, True)
