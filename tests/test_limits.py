"""Sizes, limits and quarantine of the pools, and a thread's reads, for any values of them."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbio.blocks import BlockPool, Safety
from nbio.counting import QUARANTINE
from nbio.errors import (
    BlockingCallError,
    NbioError,
)
from nbio.pool import BodyPool
from proofs.interrupted import run

SIZE = 8
SAFETY: tuple[Safety, ...] = ("off", "simple", "debug")
FEW = st.integers(-1, 3)
# It ends each example itself with everything back.
pytestmark = pytest.mark.nbio_unbalanced


@contextmanager
def refused(unless: bool) -> Iterator[None]:
    if unless:
        yield
    else:
        with pytest.raises(ValueError, match=r"needs|safety is"):
            yield


@given(low=FEW, high=FEW, slots=FEW, idle=FEW, safety=st.sampled_from((*SAFETY, "loud")))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_a_body_pool_of_impossible_sizes_is_refused(
    low: int, high: int, slots: int, idle: int, safety: Safety
) -> None:
    possible = low >= 0 and high > low and slots > 0 and idle >= 0 and safety in SAFETY
    with refused(unless=possible):
        pool = BodyPool(
            BlockPool(1),
            low_water=low,
            high_water=high,
            max_slots=slots,
            max_idle_slots=idle,
            safety=safety,
        )
        assert (pool.low_water, pool.high_water, pool.max_slots) == (low, high, slots)


@given(size=FEW, idle=FEW, most=FEW)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_a_block_pool_of_impossible_sizes_is_refused(size: int, idle: int, most: int) -> None:
    with refused(unless=size > 0 and idle >= 0 and most > 0):
        BlockPool(size, idle, most)


@given(safety=st.sampled_from(SAFETY))
def test_a_pool_makes_its_blocks_as_safe_as_itself_and_is_announced(safety: Safety) -> None:
    announced = list[BodyPool]()
    before, BodyPool.on_create = BodyPool.on_create, announced.append
    try:
        pool = BodyPool(safety=safety)
    finally:
        BodyPool.on_create = before
    assert announced == [pool]
    assert pool.blocks.safety == safety


@given(
    most=st.integers(1, QUARANTINE + 9),
    idle=st.integers(QUARANTINE - 1, QUARANTINE + 3),
    takes=st.lists(st.booleans(), max_size=200),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_a_freed_block_is_held_back_while_there_are_others(
    most: int, idle: int, takes: list[bool]
) -> None:
    pool = BlockPool(SIZE, idle, most, safety="debug")
    freed, out = list[bytearray](), list[bytearray]()
    for take in (*[True] * most, *[False] * most, *takes):
        if not take:
            if out:
                pool.put(out[0])
                freed += [out[0]] if len(freed) < idle else []
                del out[0]
        elif len(out) < most:
            block = pool.get()
            # The one freed longest ago, and only after enough others, or when none may be made.
            if len(freed) > QUARANTINE or (freed and len(freed) + len(out) == most):
                assert block is freed.pop(0)
            assert not any(block is b for b in freed)
            out.append(block)
    assert pool.stats().idle == len(freed)
    for block in out:
        pool.put(block)
    pool.max_blocks = 1
    kept = pool._idle[0]
    kept[0] = 0
    with pytest.raises(NbioError, match="a freed block was written to"):
        pool.get()
    assert pool.stats().given_up == 1


@given(fed=st.lists(st.tuples(st.booleans(), st.integers(1, 4 * SIZE)), max_size=8))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_each_block_comes_back_to_the_pool_that_it_is_of(fed: list[tuple[bool, int]]) -> None:
    large = BlockPool(4 * SIZE)
    pool = BodyPool(BlockPool(SIZE), large=large, high_water=20)
    for ends in ("read", "close"):
        body = pool.acquire("POST /")
        for is_large, size in fed:
            source = large if is_large else pool.blocks
            block = source.get()
            rest, _ = body.feed_block(block, min(size, source.block_size))
            if rest is not None:
                source.put(rest)
        body.finish()
        if ends == "read":
            run(body.read())
        body.release()
        assert all(len(b) == SIZE for b in pool.blocks._idle)
        assert all(len(b) == 4 * SIZE for b in large._idle)
        assert pool.blocks.stats().outstanding == large.stats().outstanding == 0
    assert pool.stats().blocks == pool.blocks.stats() + large.stats()


@given(sizes=st.lists(st.integers(1, SIZE), min_size=1, max_size=4), n=st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_a_thread_s_reads_are_a_task_s(sizes: list[int], n: int) -> None:
    pool = BodyPool(BlockPool(SIZE))
    body = pool.acquire("POST /")
    data = b"".join(bytes([65 + i]) * size for i, size in enumerate(sizes))
    body.feed(data)
    if n % 2:
        with pytest.raises(TimeoutError, match="no more of the body of 'POST /' came in time"):
            body.read_blocking(timeout=0.001)
        assert (body._slot.waiting, body._slot.leased) == (False, 0)
        body.feed(data)
    target = bytearray(n)
    assert body.read_blocking(0) == b""
    assert body.readinto_blocking(bytearray()) == 0
    count = body.readinto_blocking(target)
    body.finish()
    rest = body.read_blocking()
    assert target[:count] + rest == data
    assert body.read_blocking(1) == rest[:0] == b""
    assert body.readinto_blocking(target) == 0
    body.release()
    pool.assert_balanced()


@given(ended=st.booleans())
@settings(max_examples=4, deadline=None)
def test_a_loop_s_thread_doesn_t_block(ended: bool) -> None:
    pool = BodyPool(BlockPool(SIZE))
    body = pool.acquire("POST /")
    body.feed(b"all")
    if ended:
        body.finish()

    async def read() -> None:
        if ended:
            assert body.read_blocking() == b"all"
        else:
            with pytest.raises(BlockingCallError, match="'POST /' would stop the event loop"):
                body.read_blocking()

    asyncio.run(read())
    body.release()
    pool.assert_balanced()
