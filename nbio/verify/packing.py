"""How a state is packed into 64-bit words, and unpacked into columns.

A cell of range ``lo..hi`` is a digit of radix ``hi - lo + 1``. When the digits' bits fit into one
word each radix is rounded up to a power of two (shifts are cheaper than divisions); when only the
exact radices fit, they are used; otherwise the cells are spread over as many words as they need.
No cell is ever dropped to make a state fit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from nbio.verify.program import Cell, State

Words = NDArray[np.uint64]
"""Packed states, shape ``(words, n)``: one row a word, one column a state."""
Column = NDArray[np.generic]
"""One cell of many states, in the smallest type that holds its range (booleans for truth)."""


@dataclass(frozen=True)
class Digit:
    """Where a cell lives: its word, its weight, its radix."""

    word: int
    weight: int
    radix: int
    lo: int

    @property
    def dtype(self) -> np.dtype[np.signedinteger]:
        """The signed type of its column."""
        return dtype_for(self.lo, self.lo + self.radix - 1)


@cache
def dtype_for(lo: int, hi: int) -> np.dtype[np.signedinteger]:
    """The smallest signed integer type that holds ``lo..hi``; OverflowError beyond 64 bits."""
    for kind in (np.int8, np.int16, np.int32, np.int64):
        info = np.iinfo(kind)
        if info.min <= lo and hi <= info.max:
            return np.dtype(kind)
    raise OverflowError(f"it ranges over {lo}..{hi}, more than 64 bits hold")


class Packing:
    """Lays out ``cells`` over words."""

    def __init__(self, cells: Iterable[Cell]) -> None:
        self.cells = list(cells)
        exact = [max(2, c.hi - c.lo + 1) for c in self.cells]
        powers = [1 << (r - 1).bit_length() for r in exact]
        self.capacity = 1
        for radix in exact:
            self.capacity *= radix
        fits_exactly = self.capacity < 1 << 64
        fits_bits = sum((r - 1).bit_length() for r in exact) <= 63
        self.exact = (fits_exactly and not fits_bits) or self.capacity <= 1 << 32
        self.digits = self._layout(exact if self.exact else powers)
        self.words = 1 + max((d.word for d in self.digits), default=0)

    def _layout(self, radices: list[int]) -> list[Digit]:
        digits: list[Digit] = []
        word, weight = 0, 1
        for cell, radix in zip(self.cells, radices, strict=True):
            if radix >= 1 << 63:
                raise OverflowError(f"{cell.name} alone needs more than a 64-bit word")
            # 2^64 - 1 is the visited set's mark for an empty place: no packed word may reach it.
            if weight * radix > (1 << 64) - 1:
                word, weight = word + 1, 1
            digits.append(Digit(word, weight, radix, cell.lo))
            weight *= radix
        return digits

    def pack(self, states: list[State]) -> Words:
        """States as packed words."""
        out = np.zeros((self.words, len(states)), dtype=np.uint64)
        for n, state in enumerate(states):
            totals = [0] * self.words
            for digit, value in zip(self.digits, state, strict=True):
                totals[digit.word] += (value - digit.lo) * digit.weight
            for w, total in enumerate(totals):
                out[w, n] = total
        return out

    def unpack_one(self, words: Iterable[int]) -> State:
        """A state from its packed words (Python ints)."""
        row = [int(w) for w in words]
        return tuple(row[d.word] // d.weight % d.radix + d.lo for d in self.digits)

    def digit(self, words: Words, cell: int) -> NDArray[np.uint64]:
        """One cell of every state as a number from 0."""
        d = self.digits[cell]
        word: NDArray[np.uint64] = words[d.word]
        if self.exact:
            high = word // np.uint64(d.weight) if d.weight > 1 else word
            return high % np.uint64(d.radix)
        return (word >> np.uint64(d.weight.bit_length() - 1)) & np.uint64(d.radix - 1)

    def column(self, words: Words, cell: int) -> Column:
        """One cell of every state: truth values, or signed integers."""
        d, digit = self.digits[cell], self.digit(words, cell)
        if self.cells[cell].variable.truth:
            truth: Column = digit.astype(np.bool_)
            return truth
        column: NDArray[np.signedinteger] = digit.astype(d.dtype)
        if d.lo:
            np.add(column, d.lo, out=column)
        return column
