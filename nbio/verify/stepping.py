"""What a search does with a chunk of states: where it begins, and one instance's successors."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nbio.verify.columns import Columns
from nbio.verify.expr import Expr, ModelError, as_int, quantifier
from nbio.verify.ints import Interpreter
from nbio.verify.packing import Packing, Words
from nbio.verify.program import Instance, Program
from nbio.verify.spec import Property

MOST_STARTS: Final = 1 << 24
"""Combinations of start values that are looked at, at most."""


def premise_of(prop: Property) -> Expr | None:
    """Where a property has anything to say, if it says so itself; None where it always does."""
    if prop.kind == "leads_to":
        return prop.holds
    return _premise(prop.holds) if prop.kind == "always" else None


def _premise(holds: Expr) -> Expr | None:
    if holds.op == "implies":
        return holds.args[0]
    if holds.op == "forall":
        inner = _premise(holds.args[1])
        bound, size = as_int(holds.args[0]), int(holds.data[0])
        return None if inner is None else quantifier("exists", bound, size, inner)
    return None


def initial_words(program: Program, packing: Packing) -> Words:
    """The initial states, packed; ModelError where there is none, or too many start values."""
    many = math.prod(len(set(c.choices)) for c in program.cells)
    if many > MOST_STARTS:
        raise ModelError(
            f"model {program.model.name}: the start values have {many:,} combinations, more than "
            f"{MOST_STARTS:,}; make what is chosen first an action"
        )
    words = np.zeros((packing.words, 1), dtype=np.uint64)
    for cell, digit in zip(program.cells, packing.digits, strict=True):
        values = np.array([v - cell.lo for v in dict.fromkeys(cell.choices)], dtype=np.uint64)
        times, words = words.shape[1], words.repeat(values.size, axis=1)
        words[digit.word] += np.tile(values * np.uint64(digit.weight), times)
    words = words.compress(Columns(packing, program.position, words).truth(program.starts), axis=1)
    if not words.shape[1]:
        raise ModelError(f"model {program.model.name} has no initial state")
    return words


def successors(
    columns: Columns, instance: Instance, rows: NDArray[np.intp], program: Program
) -> Words:
    """Packed successors of the given rows; ModelError where an update leaves its range."""
    part = columns if rows.size == columns.size else columns.at(rows)
    new = part.words.copy()
    _check_indices(part, instance, program)
    values = part.values([expr for _, expr in instance.updates])
    for (position, expr), value in zip(instance.updates, values, strict=True):
        digit, cell = columns.packing.digits[position], program.cells[position]
        if expr.lo < cell.lo or expr.hi > cell.hi:
            _check_range(part, instance, program, position, value)
        # Words are a group under addition modulo 2^64, so a difference may be "negative".
        change = np.subtract(value, part.cell(position), dtype=np.int64).view(np.uint64)
        change *= np.uint64(digit.weight)
        new[digit.word] += change
    return new


def _check_indices(part: Columns, instance: Instance, program: Program) -> None:
    if instance.in_range.op == "bool" and instance.in_range.data[0]:
        return
    fits = part.truth(instance.in_range)
    if not fits.all():
        _raise_by_interpreter(part, instance, program, int(np.argmin(fits)))


def _check_range(
    part: Columns, instance: Instance, program: Program, position: int, value: NDArray[np.generic]
) -> None:
    cell = program.cells[position]
    wide = value.astype(np.int64)
    outside = (wide < cell.lo) | (wide > cell.hi)
    if outside.any():
        _raise_by_interpreter(part, instance, program, int(np.argmax(outside)))


def _raise_by_interpreter(part: Columns, instance: Instance, program: Program, row: int) -> None:
    state = part.packing.unpack_one(int(w) for w in part.words[:, row])
    Interpreter(program).apply(instance, state)
    raise ModelError(f"{instance.label}: arrays and integers disagree about {state}")
