"""The real pool's histories are linearizable; those of broken copies are not, and are shown."""

import pytest

from proofs import histories
from proofs.histories import SEEDS, Seed

pytestmark = pytest.mark.nbio_unbalanced


def test_real_histories_are_linearizable() -> None:
    seen = histories.record(200)
    assert seen.told == ""
    assert seen.histories == 200
    assert seen.overlapping > 100


@pytest.mark.parametrize("seed", SEEDS)
def test_a_broken_copy_is_found_out(seed: Seed) -> None:
    seen = histories.record(2000, seed)
    assert "no order explains this history" in seen.told
    assert "-> " in seen.told
