"""TRUSTED: what each function of `nbio/_lifecycle.py` does, stated a second time, by hand.

The emitted functions are decision tables, read from the top. Here the same relation is stated
without an order: for each outcome exactly when it occurs, and for each outcome exactly what is
written. CrossHair runs the emitted code on symbolic integers and truth values and must say
"confirmed over all paths" of every condition; a condition that it only fails to refute counts
as UNKNOWN. No precondition: the functions are total.

Left out: that these are the right rules (the checker's worlds show that), and that the pool
applies them to the right slot (refinement shows that).
"""
# ruff: noqa: F401  (CrossHair evaluates the conditions in the docstrings, in this module)

from nbio import _lifecycle
from nbio._lifecycle import (
    ALREADY,
    BUSY,
    CLOSED,
    CLOSING,
    COPY,
    DEFERRED,
    EMPTIED,
    EMPTY,
    ENDED,
    FAILED,
    FREE,
    KEPT,
    NONE,
    NOT_FREE,
    NOT_WAITING,
    OK,
    OPEN,
    PAUSE,
    READY,
    RECYCLED,
    RESUME,
    STALE,
)

Whole = tuple[int, int, int, int, bool, bool, bool, bool, int, bool]


def first_use(generation: int) -> tuple[int, int, int, bool, bool, bool, bool, int, bool]:
    """A slot that was given back, at the generation that follows."""
    return (FREE, generation + 1, NONE, False, False, False, False, 0, False)


def acquire(state: int) -> tuple[int, int]:
    """
    post: (_[0] == OK) == (state == FREE)
    post: (_[0] == NOT_FREE) == (state != FREE)
    post: _[1] == (OPEN if _[0] == OK else state)
    """
    return _lifecycle.acquire(state)


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
    """
    post: (_[0] == STALE) == (presented != generation)
    post: (_[0] == CLOSED) == (presented == generation and state != OPEN)
    post: (_[0] == ENDED) == (presented == generation and state == OPEN and (ended or failed))
    post: (_[0] >= OK) == (presented == generation and state == OPEN and not ended and not failed)
    post: (_[0] == PAUSE) == (_[0] >= OK and held + blocks >= high)
    post: _[0] in (STALE, CLOSED, ENDED, OK, PAUSE)
    post: _[1] == (held + blocks if _[0] >= OK else held)
    post: _[2] == (paused or _[0] == PAUSE)
    """
    return _lifecycle.feed(state, generation, ended, failed, held, paused, presented, blocks, high)


def finish(
    state: int, generation: int, ended: bool, failed: bool, presented: int
) -> tuple[int, bool]:
    """
    post: (_[0] == STALE) == (presented != generation)
    post: (_[0] == CLOSED) == (presented == generation and state != OPEN)
    post: (_[0] == ENDED) == (presented == generation and state == OPEN and (ended or failed))
    post: (_[0] == OK) == (presented == generation and state == OPEN and not (ended or failed))
    post: _[1] == (ended or _[0] == OK)
    """
    return _lifecycle.finish(state, generation, ended, failed, presented)


def fail(
    state: int, generation: int, ended: bool, failed: bool, paused: bool, presented: int
) -> tuple[int, bool, bool]:
    """
    post: (_[0] == STALE) == (presented != generation)
    post: (_[0] == CLOSED) == (presented == generation and state != OPEN)
    post: (_[0] == ENDED) == (presented == generation and state == OPEN and (ended or failed))
    post: (_[0] == OK) == (presented == generation and state == OPEN and not (ended or failed))
    post: _[1] == (failed or _[0] == OK)
    post: _[2] == (paused and _[0] != OK)
    """
    return _lifecycle.fail(state, generation, ended, failed, paused, presented)


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
    """
    post: (_[0] == STALE) == (presented != generation)
    post: (_[0] == CLOSED) == (presented == generation and state != OPEN)
    post: (_[0] in (BUSY, READY, OK)) == (presented == generation and state == OPEN)
    post: (_[0] == BUSY) == (_[0] in (BUSY, READY, OK) and (waiting or leased != NONE))
    post: not (_[0] == READY and not ended and not failed and held <= 0)
    post: not (_[0] == OK and (ended or failed or held > 0))
    post: _[1] == (waiting or _[0] == OK)
    """
    return _lifecycle.wait(state, generation, leased, waiting, ended, failed, held, presented)


def wake(
    generation: int, leased: int, waiting: bool, failed: bool, held: int, presented: int, kind: int
) -> tuple[int, int, bool]:
    """
    post: (_[0] == STALE) == (presented != generation)
    post: (_[0] == NOT_WAITING) == (presented == generation and not waiting)
    post: (_[0] == OK) == (presented == generation and waiting and held > 0 and not failed)
    post: (_[0] == EMPTIED) == (presented == generation and waiting and (held <= 0 or failed))
    post: _[1] == (kind if _[0] == OK else leased)
    post: _[2] == (waiting and _[0] < OK)
    """
    return _lifecycle.wake(generation, leased, waiting, failed, held, presented, kind)


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
    """
    post: (_[0] == STALE) == (presented != generation)
    post: (_[0] == CLOSED) == (presented == generation and state != OPEN)
    post: (_[0] in (BUSY, FAILED, ENDED, EMPTY, OK)) == (presented == generation and state == OPEN)
    post: (_[0] == BUSY) == (_[0] not in (STALE, CLOSED) and (waiting or leased != NONE))
    post: (_[0] == FAILED) == (_[0] not in (STALE, CLOSED, BUSY) and failed)
    post: (_[0] == OK) == (_[0] not in (STALE, CLOSED, BUSY, FAILED) and held != 0)
    post: not (_[0] == ENDED and not ended) and not (_[0] == EMPTY and ended)
    post: _[1] == (kind if _[0] == OK else leased)
    """
    return _lifecycle.lease(
        state, generation, leased, waiting, ended, failed, held, presented, kind
    )


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
) -> Whole:
    """
    post: (_[0] == STALE) == (presented != generation)
    post: (_[0] == RECYCLED) == (presented == generation and state == CLOSING)
    post: (_[0] in (OK, RESUME)) == (presented == generation and state != CLOSING)
    post: (_[0] == RESUME) == (_[0] in (OK, RESUME) and paused and held - freed <= low)
    post: _[0] != RECYCLED or _[1:] == first_use(generation)
    post: _[0] < OK or _[3] == NONE
    post: _[0] >= OK or _[3] == leased
    post: _[0] == RECYCLED or _[1:3] == (state, generation)
    post: _[0] == RECYCLED or _[4:8] == (waiting, ended, failed, detached)
    post: _[0] == RECYCLED or _[8] == (held if _[0] == STALE else held - freed)
    post: _[0] == RECYCLED or _[9] == (paused and _[0] != RESUME)
    """
    return _lifecycle.unlease(
        state,
        generation,
        leased,
        waiting,
        ended,
        failed,
        detached,
        held,
        paused,
        presented,
        freed,
        low,
    )


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
) -> Whole:
    """
    post: (_[0] == STALE) == (presented != generation)
    post: (_[0] == ALREADY) == (presented == generation and state != OPEN)
    post: (_[0] == DEFERRED) == (presented == generation and state == OPEN and leased != NONE)
    post: (_[0] == RECYCLED) == (presented == generation and state == OPEN and leased == NONE)
    post: _[0] != RECYCLED or _[1:] == first_use(generation)
    post: _[0] == RECYCLED or _[1] == (CLOSING if _[0] == DEFERRED else state)
    post: _[0] == RECYCLED or _[2:9] == (generation, leased, waiting, ended, failed, detached, held)
    post: _[0] == RECYCLED or _[9] == (paused and _[0] != DEFERRED)
    """
    return _lifecycle.close(
        state, generation, leased, waiting, ended, failed, detached, held, paused, presented
    )


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
) -> Whole:
    """
    post: (_[0] == STALE) == (presented != generation)
    post: (_[0] == KEPT) == (presented == generation and state == OPEN and detached)
    post: (_[0] == ALREADY) == (presented == generation and state != OPEN and leased == COPY)
    post: not (_[0] == DEFERRED and (state != OPEN or detached or leased != COPY))
    post: not (_[0] == RECYCLED and (leased == COPY or (state == OPEN and detached)))
    post: (_[0] in (DEFERRED, RECYCLED)) == (_[0] not in (STALE, KEPT, ALREADY))
    post: _[0] != RECYCLED or _[1:] == first_use(generation)
    post: _[0] == RECYCLED or _[1] == (CLOSING if _[0] == DEFERRED else state)
    post: _[0] == RECYCLED or _[2:9] == (generation, leased, waiting, ended, failed, detached, held)
    post: _[0] == RECYCLED or _[9] == (paused and _[0] != DEFERRED)
    """
    return _lifecycle.release(
        state, generation, leased, waiting, ended, failed, detached, held, paused, presented
    )


def detach(state: int, generation: int, detached: bool, presented: int) -> tuple[int, bool]:
    """
    post: (_[0] == STALE) == (presented != generation)
    post: (_[0] == CLOSED) == (presented == generation and state != OPEN)
    post: (_[0] == OK) == (presented == generation and state == OPEN)
    post: _[1] == (detached or _[0] == OK)
    """
    return _lifecycle.detach(state, generation, detached, presented)


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
) -> Whole:
    """
    post: (_[0] == STALE) == (presented != generation)
    post: (_[0] == RECYCLED) == (presented == generation)
    post: _[0] != RECYCLED or _[1:] == first_use(generation)
    post: _[0] == RECYCLED or _[1:4] == (state, generation, leased)
    post: _[0] == RECYCLED or _[4:] == (waiting, ended, failed, detached, held, paused)
    """
    return _lifecycle.finalize(
        state, generation, leased, waiting, ended, failed, detached, held, paused, presented
    )
