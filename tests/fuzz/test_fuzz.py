"""Seeds and found inputs keep the rules; a second of changes at random finds nothing either."""

import random
from pathlib import Path

import pytest

from tests.fuzz.__main__ import found, mutated
from tests.fuzz.target import check, seeds


def test_seeds() -> None:
    for seed in seeds():
        check(seed)


@pytest.mark.parametrize("path", found(), ids=lambda path: path.name)
def test_what_was_found_once(path: Path) -> None:
    check(path.read_bytes())


def test_some_changes_at_random() -> None:
    chance = random.Random(9112)
    pool = seeds()
    for _ in range(1500):
        data = mutated(chance, chance.choice(pool), chance.choice(pool))
        try:
            check(data)
        except AssertionError as error:
            raise AssertionError(f"{data!r}: {error}") from error
