"""The visited set against a Python set, also where all mixes agree; and who owns which state."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nbio.verify import Model, visited
from nbio.verify.engine import Bounds
from nbio.verify.packing import Words
from nbio.verify.shards import BLOCK, Shard, Share, prepared
from nbio.verify.visited import HashedSet

Mix = Callable[[Words], NDArray[np.uint64]]
mixed_well: Mix = visited.mixed


def mixed_badly(words: Words) -> NDArray[np.uint64]:
    """All states want one of four places."""
    few: NDArray[np.uint64] = words[0] & np.uint64(3)
    return few << np.uint64(62)


batches = st.lists(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3)), max_size=60), max_size=8
)


@pytest.mark.parametrize("mix", [mixed_well, mixed_badly], ids=["well", "badly"])
@pytest.mark.parametrize("words", [1, 2])
def test_a_hashed_set_is_a_set_in_the_order_found(
    monkeypatch: pytest.MonkeyPatch, mix: Mix, words: int
) -> None:
    monkeypatch.setattr(visited, "mixed", mix)

    @settings(max_examples=150, deadline=None, database=None)
    @given(batches)
    def check(found: list[list[tuple[int, int]]]) -> None:
        held = HashedSet(words)
        order: dict[tuple[int, ...], None] = {}
        for batch in found:
            states = [state[:words] for state in batch]
            fresh = [s for s in dict.fromkeys(states) if s not in order]
            order |= dict.fromkeys(fresh)
            packed = np.array(states, dtype=np.uint64).reshape(-1, words).T.copy()
            half = len(states) // 2
            assert held.insert([packed[:, :half], packed[:, half:]]) == len(fresh)
        assert held.count == len(order)
        rows = held.rows(0, held.count)
        assert sorted(map(tuple, rows.T.tolist())) == sorted(order)
        if mix is mixed_well:
            assert list(map(tuple, rows.T.tolist())) == list(order)
        assert held.find(rows).tolist() == list(range(held.count))
        with pytest.raises(ValueError, match="never found"):
            held.find(np.full((words, 1), 99, dtype=np.uint64))

    check()


def test_a_hashed_set_grows_past_its_first_table() -> None:
    held = HashedSet(2)
    for start in range(0, 60_000, 7_000):
        numbers = np.arange(start, start + 10_000, dtype=np.uint64)
        held.insert([np.stack([numbers, numbers // np.uint64(3)])])
    assert held.count == 66_000
    rows = held.rows(0, held.count)
    assert rows[0].tolist() == list(range(66_000))
    assert held.find(rows[:, ::-1]).tolist() == list(range(66_000))[::-1]


@pytest.mark.parametrize("of", [1, 2, 3, 7])
def test_a_sorted_batch_is_divided_as_any_other(of: int) -> None:
    model = Model("wide")
    x = model.integer("x", 0, 24 << BLOCK)
    model.action(name="go")(lambda do: do.set(x, 0))
    shard = Shard(prepared(model, Bounds(), False, of), Share(0, of))
    rng = np.random.default_rng(of)
    for size in (0, 1, 2, 500):
        batch = rng.integers(1 << BLOCK, 24 << BLOCK, size).astype(np.uint64)[None, :]
        ordered = np.sort(batch, axis=1)
        parts = shard._parts(ordered)
        assert [np.sort(p[0]).tolist() for p in shard._parts(batch)] == [
            p[0].tolist() for p in parts
        ]
        for number, part in enumerate(parts):
            assert ((part[0] >> np.uint64(BLOCK)) % of == number).all()
