"""The visited set: exact, in breadth-first order, and never a hash of a state in a state's place.

Two shapes. :class:`HashedSet` is an open-addressing table of row numbers over the rows themselves:
a hash only says where to look, whole words are compared. :class:`DenseSet` is one byte for each
number that a packed state can be, where that range is small enough: no hashing, no comparing.

Both keep the rows level by level, so a breadth-first level is a slice of the rows and a
counterexample is rebuilt from the levels, without a parent pointer per state.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from nbio.verify.memory import NO_LIMIT, Budget
from nbio.verify.packing import Words

DENSE_LIMIT: Final = 1 << 28
"""Largest range of packed values for which a byte each is spent."""
_FREE: Final = -1
N = TypeVar("N", bound=np.generic)
_MIX: Final = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9)


class Visited(Protocol):
    """What the engine needs of a visited set."""

    @property
    def count(self) -> int:
        """States held."""

    @property
    def bytes(self) -> int:
        """Memory held, in bytes."""

    def rows(self, start: int, stop: int) -> Words:
        """The states of number ``start`` to ``stop``."""

    def insert(self, batches: Sequence[Words]) -> int:
        """Add states (duplicates allowed); how many were new."""

    def close_level(self, start: int) -> None:
        """The states from number ``start`` on are a whole level; their order may change now."""

    def find(self, words: Words) -> NDArray[np.intp]:
        """The numbers of states that are all held; ValueError where one is not."""


class _Rows:
    """States in the order found. A state's words are neighbours: to compare one is one access."""

    def __init__(self, words: int, dtype: type[np.unsignedinteger], budget: Budget) -> None:
        self._budget = budget
        self._data: NDArray[np.unsignedinteger] = np.empty((1024, words), dtype=dtype)
        self.count = 0

    @property
    def bytes(self) -> int:
        return self._data.nbytes

    def get(self, start: int, stop: int) -> Words:
        rows: Words = np.ascontiguousarray(self._data[start:stop].T, dtype=np.uint64)
        return rows

    def take(self, ids: NDArray[np.signedinteger]) -> NDArray[np.unsignedinteger]:
        """The states of these numbers, one a row."""
        found: NDArray[np.unsignedinteger] = self._data.take(ids, axis=0)
        return found

    def sort(self, start: int) -> None:
        """Sort the rows from ``start`` on; for one word."""
        self._data[start : self.count, 0].sort()

    def append(self, rows: NDArray[np.integer]) -> None:
        """Add states, one a row."""
        stop = self.count + rows.shape[0]
        if stop > self._data.shape[0]:
            shape = (stop + stop // 4, self._data.shape[1])
            self._budget.take(shape[0] * shape[1] * self._data.itemsize)
            grown = np.empty(shape, dtype=self._data.dtype)
            grown[: self.count] = self._data[: self.count]
            self._data = grown
        self._data[self.count : stop] = rows
        self.count = stop


class DenseSet:
    """One byte per possible packed value; for one-word states of a small range."""

    def __init__(self, capacity: int, budget: Budget = NO_LIMIT) -> None:
        budget.take(capacity)
        self._seen = np.zeros(capacity, dtype=np.bool_)
        self._rows = _Rows(1, np.uint32, budget)
        self._number: NDArray[np.int32] = np.empty(0, dtype=np.int32)

    @property
    def count(self) -> int:
        return self._rows.count

    @property
    def bytes(self) -> int:
        return self._seen.nbytes + self._number.nbytes + self._rows.bytes

    def rows(self, start: int, stop: int) -> Words:
        return self._rows.get(start, stop)

    def insert(self, batches: Sequence[Words]) -> int:
        before = self.count
        for words in batches:
            batch = words[0].view(np.int64)
            fresh = batch[~self._seen.take(batch)]
            # The successors of a sorted level by one action are often sorted and distinct.
            if not (fresh[1:] > fresh[:-1]).all():
                fresh = unique(fresh)
            self._seen[fresh] = True
            self._rows.append(fresh[:, None])
        self._number = self._number[:0]
        return self.count - before

    def close_level(self, start: int) -> None:
        self._rows.sort(start)

    def find(self, words: Words) -> NDArray[np.intp]:
        if not self._number.size:
            # Only liveness asks, and only of a finished search: the search itself needs no numbers.
            self._number = np.full(self._seen.size, -1, dtype=np.int32)
            self._number[self._rows.get(0, self.count)[0]] = np.arange(self.count)
        return _all_held(self._number[words[0]].astype(np.intp))


class HashedSet:
    """Open addressing with linear probing; the table holds row numbers, at most 5/8 full.

    A state's first place is the highest bits of its mix, so a batch sorted by its mixes goes
    through the table from one end to the other: what is next is in the cache already.
    """

    def __init__(self, words: int, budget: Budget = NO_LIMIT) -> None:
        self._words, self._budget = words, budget
        self._rows = _Rows(words, np.uint64, budget)
        self._table: NDArray[np.signedinteger] = np.full(1 << 12, _FREE, dtype=np.int32)

    @property
    def count(self) -> int:
        return self._rows.count

    @property
    def bytes(self) -> int:
        return self._table.nbytes + self._rows.bytes

    def rows(self, start: int, stop: int) -> Words:
        return self._rows.get(start, stop)

    def insert(self, batches: Sequence[Words]) -> int:
        if not batches:
            return 0
        words = np.concatenate(batches, axis=1) if len(batches) > 1 else batches[0]
        mixes = mixed(words)
        first = self._distinct(words, mixes)
        self._reserve(first.size)
        rows = self._as_rows(words, first)
        places, winners = self._claim(rows, self._homes(mixes.take(first)))
        # Numbers are given in the order of the batch, not in that of the mixes.
        new = np.zeros(words.shape[1], dtype=np.bool_)
        new[first.take(winners)] = True
        numbers = np.cumsum(new, dtype=self._table.dtype)
        self._table[places] = self.count - 1 + numbers.take(first.take(winners))
        self._rows.append(self._as_rows(words, np.flatnonzero(new)))
        return int(winners.size)

    def close_level(self, start: int) -> None:
        """Nothing: the table names rows by their numbers."""

    def _as_rows(self, words: Words, which: NDArray[np.intp]) -> Words:
        rows = np.empty((which.size, self._words), dtype=np.uint64)
        for w in range(self._words):
            rows[:, w] = words[w].take(which)
        return rows

    def _homes(self, mixes: NDArray[np.uint64]) -> NDArray[np.intp]:
        """The first places of states with these mixes."""
        return (mixes >> np.uint64(65 - self._table.size.bit_length())).astype(np.intp)

    @staticmethod
    def _distinct(words: Words, mixes: NDArray[np.uint64]) -> NDArray[np.intp]:
        """Where the batch's states are, each once (nearly always), in the order of their mixes."""
        order, same = _by_mix(mixes)
        # That their mixes agree so far is no proof: it takes the same words to leave one out.
        again = np.flatnonzero(same)
        this, other = order.take(again), order.take(again - 1)
        for word in words:
            same[again] &= word.take(this) == word.take(other)
        return order.compress(~same)

    def _claim(
        self, rows: Words, place: NDArray[np.intp]
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Give every state not yet held a place: ``(places, which of the batch)``.

        All probes of a round go at once. Equal states walk the same places in the same rounds, so
        of several equal ones exactly one claims the place and the others then find it taken by
        their equal. A place claimed by two different states goes to one; the other walks on.
        """
        base, mask = self.count, self._table.size - 1
        pending = np.arange(place.size)
        places: list[NDArray[np.intp]] = []
        winners: list[NDArray[np.intp]] = []
        while pending.size:
            here = place.take(pending)
            found = self._table.take(here)
            empty = np.flatnonzero(found == _FREE)
            self._table[here.take(empty)] = base + pending.take(empty)
            found[empty] = self._table.take(here.take(empty))
            mine = found == base + pending
            places.append(here.compress(mine))
            winners.append(pending.compress(mine))
            rest = np.flatnonzero(~mine)
            pending = pending.take(rest)
            pending = pending.compress(~self._equal(rows, pending, found.take(rest)))
            place[pending] = (place.take(pending) + 1) & mask
        if not places:
            nothing = np.empty(0, dtype=np.intp)
            return nothing, nothing
        return np.concatenate(places), np.concatenate(winners)

    def find(self, words: Words) -> NDArray[np.intp]:
        mask = self._table.size - 1
        place = self._homes(mixed(words))
        rows = words.T
        number = np.full(words.shape[1], -1, dtype=np.intp)
        pending = np.arange(words.shape[1])
        while pending.size:
            found = self._table[place[pending]]
            pending, found = pending[found != _FREE], found[found != _FREE]
            equal = _same(self._rows.take(found), rows.take(pending, axis=0))
            number[pending[equal]] = found[equal]
            pending = pending[~equal]
            place[pending] = (place[pending] + 1) & mask
        return _all_held(number)

    def _equal(
        self, rows: Words, batch: NDArray[np.intp], ids: NDArray[np.signedinteger]
    ) -> NDArray[np.bool_]:
        """Whether batch members equal what the ids name: rows held, or members of this batch."""
        equal = np.empty(batch.size, dtype=np.bool_)
        old = ids < self.count
        held, fresh = np.flatnonzero(old), np.flatnonzero(~old)
        mine = rows.take(batch, axis=0)
        equal[held] = _same(mine.take(held, axis=0), self._rows.take(ids.take(held)))
        others = rows.take(ids.take(fresh) - self.count, axis=0)
        equal[fresh] = _same(mine.take(fresh, axis=0), others)
        return equal

    def _reserve(self, more: int) -> None:
        need = (self._rows.count + more) * 8 // 5
        size = self._table.size
        if need <= size:
            return
        while size < need:
            size *= 2
        kind = np.int32 if size < 1 << 31 else np.int64
        self._budget.take(size * np.dtype(kind).itemsize - self._table.nbytes)
        self._table = np.empty(0, dtype=kind)
        self._table = np.full(size, _FREE, dtype=kind)
        self._refill()

    def _refill(self) -> None:
        """Place every held row in the (empty) table; they are distinct, so none is compared."""
        step, mask = 1 << 20, self._table.size - 1
        for start in range(0, self._rows.count, step):
            mixes = mixed(self._rows.get(start, min(start + step, self._rows.count)))
            order, _ = _by_mix(mixes)
            ids, place = start + order, self._homes(mixes.take(order))
            while ids.size:
                empty = self._table.take(place) == _FREE
                self._table[place[empty]] = ids[empty]
                lost = self._table.take(place) != ids
                ids, place = ids[lost], (place[lost] + 1) & mask


def _same(a: Words, b: NDArray[np.unsignedinteger]) -> NDArray[np.bool_]:
    """Which rows of two arrays agree in all words."""
    equal: NDArray[np.bool_] = a[:, 0] == b[:, 0]
    for w in range(1, a.shape[1]):
        equal &= a[:, w] == b[:, w]
    return equal


def _by_mix(mixes: NDArray[np.uint64]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """The order of the mixes, and where in it one is (as far as was looked) the one before.

    A mix and its position share a number, as numbers are sorted ten times as fast as an order is
    found: the mix's lowest bits make room, and are not looked at.
    """
    low = np.uint64((1 << max(1, (mixes.size - 1).bit_length())) - 1)
    keys = mixes & ~low
    keys |= np.arange(mixes.size, dtype=np.uint64)
    keys.sort()
    order = (keys & low).view(np.intp)
    keys &= ~low
    same = np.zeros(mixes.size, dtype=np.bool_)
    np.equal(keys[1:], keys[:-1], out=same[1:])
    return order, same


def _all_held(numbers: NDArray[np.intp]) -> NDArray[np.intp]:
    if np.any(numbers < 0):
        raise ValueError("a state was asked for that was never found")
    return numbers


def unique(values: NDArray[N]) -> NDArray[N]:
    """Sorted distinct values (np.unique without its overheads)."""
    if values.size < 2:
        return values
    ordered = np.sort(values)
    keep = np.empty(ordered.size, dtype=np.bool_)
    keep[0] = True
    np.not_equal(ordered[1:], ordered[:-1], out=keep[1:])
    return ordered[keep]


def mixed(words: Words) -> NDArray[np.uint64]:
    """A 64-bit mix of a state's words (multiply-xorshift); only says where to look first."""
    h: NDArray[np.uint64] = words[0] * np.uint64(_MIX[0])
    for w in range(1, words.shape[0]):
        h ^= h >> np.uint64(29)
        h = (h + words[w]) * np.uint64(_MIX[1])
    h ^= h >> np.uint64(32)
    h *= np.uint64(_MIX[1])
    h ^= h >> np.uint64(29)
    return h
