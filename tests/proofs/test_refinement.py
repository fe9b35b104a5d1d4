"""The real pool refines the model; and a pool that doesn't is told apart, by name."""

from collections.abc import Callable

import pytest

from model.world import Bounds
from nbio import _lifecycle
from nbio.leaks import Guard
from nbio.pool import BodyPool, Slot
from proofs import refinement
from proofs.abstraction import Sleeper

pytestmark = pytest.mark.nbio_unbalanced

SMALL = Bounds(slots=1, requests=2, blocks=1, leftovers=1, keepers=1, buffers=2, detachers=1)


def test_the_pool_refines_the_model() -> None:
    seen = refinement.walk(SMALL)
    assert seen.differences == []
    assert seen.states > 1000
    assert seen.refusals > seen.states


def test_the_emitted_code_equals_the_tables() -> None:
    *wrong, count = refinement.emitted_equals_tables()
    assert wrong == []
    assert int(count.split()[0].replace(",", "")) > 10_000


def without_generation(event: Callable[..., tuple[int, ...]]) -> Callable[..., tuple[int, ...]]:
    """The event with its staleness check blinded: whatever is presented is the slot's own."""

    def blind(*values: int) -> tuple[int, ...]:
        return event(*values[:-1], values[1])

    return blind


def test_a_close_that_ignores_the_generation_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_lifecycle, "close", without_generation(_lifecycle.close))
    told = refinement.walk(SMALL).differences[0]
    assert "close" in told
    assert "the model says" in told


def test_a_wrong_value_in_the_emitted_code_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_lifecycle, "finalize", without_generation(_lifecycle.finalize))
    wrong = next(refinement.emitted_equals_tables())
    assert wrong.startswith("finalize(")


def test_a_slot_put_back_twice_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    recycle = BodyPool.recycle

    def twice(pool: BodyPool, slot: Slot, guard: Guard) -> list[bytearray] | None:
        pool._idle.append(slot)
        return recycle(pool, slot, guard)

    monkeypatch.setattr(BodyPool, "recycle", twice)
    assert "pooled[0] is 2" in refinement.walk(SMALL).differences[0]


def test_a_block_that_is_not_returned_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BodyPool, "free_blocks", lambda pool, blocks: None)
    told = refinement.walk(SMALL).differences[0]
    assert "everybody lets go: 0 of 1 bodies and 1 of 1 blocks have not come back" in told


def test_a_lost_wake_up_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sleeper, "wake", lambda sleeper: None)
    assert "called[0] is 0, the model says 1" in refinement.walk(SMALL).differences[0]
