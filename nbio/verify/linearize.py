"""Is a concurrent history of calls as if they had happened one at a time?

Record what threads really did to an object (:class:`Recorder`), state in plain Python what one
call does to the object's state, and ask :func:`linearize`: it looks for an order of the calls that
agrees with every answer and with real time (a call that returned before another began comes first).
An object whose every history has such an order is *linearizable*: whoever uses it may think of
each call as one step (M. Herlihy, J. Wing, "Linearizability", ACM TOPLAS 12(3), 1990).

    def counter(state: int, call: Call) -> Iterable[tuple[object, int]]:
        yield state, state + 1            # it answers the old value; the new one is kept

    recorder = Recorder()
    ...                                   # in each thread: recorder.call(thread, "add", c.add)
    assert linearize(recorder.history(), counter, 0).order is not None

The search is J. Wing's and C. Gong's ("Testing and verifying concurrent objects", 1993), with the
memory of what was seen that G. Lowe added ("Testing for linearizability", 2017): exponential at
worst, quick for short histories of few threads.

What it does not show: histories that were not recorded. Calls that never returned must be left out
of what is asked, or given as :data:`PENDING`: those may have happened or not.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar

R = TypeVar("R")
S = TypeVar("S", bound=Hashable)


class Pending:
    """The answer of a call that has not returned."""

    def __repr__(self) -> str:
        return "..."


PENDING: Final = Pending()


@dataclass(frozen=True)
class Call:
    """One call: who, what, with which arguments, what it answered, and from when to when.

    ``began`` and ``ended`` are moments on one clock; only their order counts.
    """

    thread: int
    name: str
    args: tuple[object, ...]
    answer: object
    began: int
    ended: int

    def __str__(self) -> str:
        inside = ", ".join(map(repr, self.args))
        return f"thread {self.thread}: {self.name}({inside}) -> {self.answer!r}"


Model = Callable[[S, Call], Iterable[tuple[object, S]]]
"""What a call may do: each answer it may give in a state, with the state that follows. Nothing
where it can't happen. States are hashable values, and never changed."""


@dataclass(frozen=True)
class Linearized:
    """What the search found.

    ``order`` is one that explains the history, ``None`` where there is none; ``longest`` is then
    the most calls that could be explained, and ``blocked`` those of which none fits next.
    ``tried`` counts the calls that the search placed.
    """

    order: tuple[Call, ...] | None
    longest: tuple[Call, ...]
    blocked: tuple[Call, ...]
    tried: int

    def __str__(self) -> str:
        """For people: the order, or where every order ends."""
        if self.order is not None:
            return "\n".join(["as if one at a time:", *(f"  {c}" for c in self.order)])
        lines = ["no order explains this history; the longest that does for a part of it:"]
        lines += [f"  {c}" for c in self.longest] or ["  (nothing)"]
        return "\n".join([*lines, "and none of these can come next:", *map(_line, self.blocked)])


def _line(call: Call) -> str:
    return f"  {call}"


class Recorder:
    """Notes calls from any number of threads, without a lock of its own around them."""

    def __init__(self) -> None:
        self._clock = itertools.count()
        self._calls: list[Call] = []

    def call(self, thread: int, name: str, function: Callable[..., R], *args: object) -> R:
        """Call ``function(*args)`` as ``thread``'s call of ``name``, and note it.

        What it raises is noted as its answer, by the exception's type, and raised. The moments
        are taken outside the call, so an overlap may be noted where there was none; never an order.
        """
        began = next(self._clock)
        try:
            answer = function(*args)
        except BaseException as error:
            self._note(thread, name, args, type(error), began)
            raise
        self._note(thread, name, args, answer, began)
        return answer

    def _note(
        self, thread: int, name: str, args: tuple[object, ...], answer: object, began: int
    ) -> None:
        self._calls.append(Call(thread, name, args, answer, began, next(self._clock)))

    def history(self) -> list[Call]:
        """The calls so far, in the order in which they began."""
        return sorted(self._calls, key=lambda c: c.began)


def linearize(
    history: Sequence[Call], model: Model[S], start: S, most: int = 1_000_000
) -> Linearized:
    """Look for an order of ``history`` that ``model`` allows from ``start``.

    Raises OverflowError when more than ``most`` calls were placed without an answer: shorten the
    history, or ask its independent parts one by one.
    """
    calls = sorted(history, key=lambda c: c.began)
    before = [_earlier(calls, call) for call in calls]
    must = sum(1 << i for i, c in enumerate(calls) if c.answer is not PENDING)
    seen: set[tuple[int, S]] = {(0, start)}
    # A way is kept as a chain, so that going on from a place costs nothing.
    stack: list[tuple[int, S, _Way]] = [(0, start, None)]
    best: tuple[int, _Way] = (0, None)
    tried = 0
    while stack:
        placed, state, way = stack.pop()
        if placed & must == must:
            return Linearized(_order(way), _order(way), (), tried)
        if placed.bit_count() > best[0].bit_count():
            best = placed, way
        for i, call in enumerate(calls):
            if placed >> i & 1 or before[i] & ~placed:
                continue
            tried += 1
            if tried > most:
                raise OverflowError(f"more than {most:,} calls placed, and no answer yet")
            for after in _follows(model, state, call):
                place = (placed | 1 << i, after)
                if place not in seen:
                    seen.add(place)
                    stack.append((*place, (call, way)))
    next_ones = (i for i, b in enumerate(before) if not best[0] >> i & 1 and not b & ~best[0])
    return Linearized(None, _order(best[1]), tuple(calls[i] for i in next_ones), tried)


def _earlier(calls: Sequence[Call], call: Call) -> int:
    """The calls that had returned before this one began, as bits."""
    return sum(
        1 << j
        for j, other in enumerate(calls)
        if other.answer is not PENDING and other.ended < call.began
    )


def _follows(model: Model[S], state: S, call: Call) -> Iterable[S]:
    for answer, after in model(state, call):
        if call.answer is PENDING or answer == call.answer:
            yield after


_Way: TypeAlias = "tuple[Call, _Way] | None"


def _order(way: _Way) -> tuple[Call, ...]:
    found: list[Call] = []
    while way is not None:
        call, way = way
        found.append(call)
    return tuple(reversed(found))
