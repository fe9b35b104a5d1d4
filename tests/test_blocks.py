"""The block pool: reuse, the export probe, caps, counts, and threads."""

import threading

import pytest

from nbio.blocks import BlockPool
from nbio.counting import QUARANTINE
from nbio.errors import NbioError, PoolExhausted


def test_a_block_is_used_again() -> None:
    pool = BlockPool(block_size=64)
    block = pool.get()
    assert len(block) == 64
    pool.put(block)
    assert pool.get() is block
    pool.put(block)
    stats = pool.stats()
    assert (stats.acquired, stats.released, stats.outstanding, stats.idle) == (2, 2, 0, 1)


@pytest.mark.parametrize("size", [1, 2, 7, 64, 4095, 4096, 65535, 65536, 1 << 20])
def test_the_probe_moves_nothing(size: int) -> None:
    """The slack is really there: no address changes, for sizes around malloc's and numpy's."""
    import ctypes

    pool = BlockPool(block_size=size)
    block = pool.get()
    before = ctypes.addressof(ctypes.c_char.from_buffer(block))
    pool.put(block)
    again = pool.get()
    assert again is block
    assert ctypes.addressof(ctypes.c_char.from_buffer(again)) == before
    assert len(again) == size
    pool.put(again)


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_block_with_a_live_view_is_given_up(depth: int) -> None:
    pool = BlockPool(block_size=64)
    block = pool.get()
    block[:4] = b"mine"
    view = memoryview(block)
    for _ in range(depth):
        # A slice of a slice exports the same block.
        view = view[0:].toreadonly()
    pool.put(block)
    other = pool.get()
    assert other is not block
    other[:4] = b"your"
    assert bytes(view[:4]) == b"mine"
    pool.put(other)
    stats = pool.stats()
    assert (stats.given_up, stats.outstanding) == (1, 0)
    assert stats.acquired == stats.released + stats.given_up


def test_a_released_view_does_not_cost_the_block() -> None:
    pool = BlockPool(block_size=64)
    block = pool.get()
    with memoryview(block) as view:
        assert len(view) == 64
    pool.put(block)
    assert pool.stats().given_up == 0


def test_above_max_idle_blocks_go_to_the_allocator() -> None:
    pool = BlockPool(block_size=64, max_idle=2)
    blocks = [pool.get() for _ in range(5)]
    for block in blocks:
        pool.put(block)
    stats = pool.stats()
    assert (stats.idle, stats.outstanding, stats.released) == (2, 0, 5)


def test_the_cap_counts_what_is_out() -> None:
    pool = BlockPool(block_size=64, max_blocks=2)
    first, second = pool.get(), pool.get()
    with pytest.raises(PoolExhausted, match="raise max_blocks"):
        pool.get()
    pool.put(first)
    third = pool.get()
    kept = memoryview(third)
    pool.put(third)
    # Given up is not out: the cap bounds what the pool manages, the collector has the rest.
    fourth = pool.get()
    pool.put(second)
    pool.put(fourth)
    assert pool.stats().outstanding == 0
    kept.release()


def test_what_is_not_a_block_is_refused() -> None:
    with pytest.raises(ValueError, match="isn't a block of this pool"):
        BlockPool(block_size=64).put(bytearray(63))


@pytest.mark.parametrize(("size", "idle", "most"), [(0, 1, 1), (1, -1, 1), (1, 1, 0)])
def test_bad_bounds_are_refused(size: int, idle: int, most: int) -> None:
    with pytest.raises(ValueError, match="a block pool needs"):
        BlockPool(size, idle, most)


def test_a_block_given_back_twice_shows_in_the_count() -> None:
    pool = BlockPool(block_size=64)
    block = pool.get()
    pool.put(block)
    pool.put(block)
    assert pool.stats().outstanding == -1


def test_debug_refuses_a_block_given_back_twice() -> None:
    pool = BlockPool(block_size=64, safety="debug")
    block = pool.get()
    pool.put(block)
    with pytest.raises(NbioError, match="given back twice"):
        pool.put(block)


def test_debug_holds_freed_blocks_back_and_poisons_them() -> None:
    pool = BlockPool(block_size=64, safety="debug")
    blocks = [pool.get() for _ in range(QUARANTINE + 1)]
    for block in blocks:
        block[:] = b"s" * 64
        pool.put(block)
    assert all(set(block) == {0xDD} for block in blocks)
    reused = pool.get()
    assert reused is blocks[0]
    fresh = pool.get()
    assert not any(fresh is block for block in blocks)
    pool.put(reused)
    pool.put(fresh)


def test_debug_notices_a_write_after_free() -> None:
    pool = BlockPool(block_size=64, safety="debug")
    blocks = [pool.get() for _ in range(QUARANTINE + 1)]
    for block in blocks:
        pool.put(block)
    blocks[0][3] = 0
    with pytest.raises(NbioError, match="freed block was written to"):
        pool.get()


def test_no_two_threads_get_one_block() -> None:
    """Each thread signs its blocks and finds its own signature when it gives them back."""
    pool = BlockPool(block_size=64, max_idle=3)
    start = threading.Barrier(4)
    wrong: list[bytes] = []

    def work(sign: int) -> None:
        start.wait()
        for _ in range(2000):
            mine = [pool.get(), pool.get()]
            for block in mine:
                block[:8] = bytes([sign]) * 8
            wrong.extend(bytes(b[:8]) for b in mine if bytes(b[:8]) != bytes([sign]) * 8)
            for block in mine:
                pool.put(block)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stats = pool.stats()
    assert wrong == []
    assert (stats.acquired, stats.released, stats.outstanding) == (16000, 16000, 0)
