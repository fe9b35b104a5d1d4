"""The handle: reading in every way, being fed and being cut off."""

import asyncio
from collections.abc import Callable

import pytest

from nbio.blocks import BlockPool
from nbio.body import BodyReader
from nbio.errors import BodyDisconnected, IncompleteBodyError
from nbio.pool import BodyPool


def make(size: int = 8, high: int = 100) -> BodyReader:
    pool = BodyPool(BlockPool(block_size=size), high_water=high)
    return pool.acquire("POST /t")


async def settle() -> None:
    """Let every task that can run do so; `feed` wakes by one hop, a task starts by another."""
    for _ in range(4):
        await asyncio.sleep(0)


def test_read_returns_what_is_there_and_then_the_end() -> None:
    async def main() -> None:
        body = make()
        body.feed(b"hello, world")
        assert await body.read(3) == b"hel"
        assert await body.read(100) == b"lo, w"
        assert await body.read(100) == b"orld"
        body.finish()
        assert await body.read(1) == b""
        assert await body.read() == b""
        assert body.at_eof
        assert (body.received, body.consumed) == (12, 12)
        assert await body.read(0) == b""
        body.release()

    asyncio.run(main())


@pytest.mark.parametrize("sizes", [[1] * 30, [7, 8, 9, 6], [30], [16, 14], [1, 29]])
def test_any_split_is_read_whole(sizes: list[int]) -> None:
    async def main() -> None:
        data = bytes(range(30))
        body = make()
        at = 0
        for size in sizes:
            body.feed(data[at : at + size])
            at += size
        # The last block is filled first, so small feeds don't hold a block each.
        assert body._slot.held == 4
        body.finish()
        assert await body.read() == data
        body.release()

    asyncio.run(main())


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_feed_takes_every_kind_of_bytes(kind: Callable[[bytes], bytes | memoryview]) -> None:
    body = make()
    body.feed(kind(b"01234567890123456789"))
    body.feed(kind(b"x"))
    body.finish()
    assert body.read_blocking() == b"01234567890123456789x"
    body.release()


def test_feed_block_hands_over_large_and_copies_small() -> None:
    body = make(size=16)
    pool = body._pool.blocks
    block = pool.get()
    block[:10] = b"0123456789"
    assert body.feed_block(block, 10) == (None, False)
    spare = pool.get()
    spare[:3] = b"abc"
    kept, _ = body.feed_block(spare, 3)
    assert kept is spare
    spare[:3] = b"..."
    # Does not fit behind those thirteen.
    spare[:4] = b"defg"
    assert body.feed_block(spare, 4) == (None, False)
    again = pool.get()
    assert body.feed_block(again, 0) == (again, False)
    body.finish()
    assert body.read_blocking() == b"0123456789abcdefg"
    body.release()
    kept, paused = body.feed_block(again, 10)
    assert kept is again
    assert not paused
    assert body.dropped == 10
    pool.put(again)


def test_feed_block_from_inside_a_buffer_callback_keeps_the_block() -> None:
    """The loop still exports the buffer while it calls us; nothing may be probed then."""
    body = make(size=16)
    pool = body._pool.blocks
    block = pool.get()
    with memoryview(block):
        assert body.feed_block(block, 10)[0] is None
    assert len(body.read_blocking(16)) == 10
    assert pool.stats().given_up == 0
    body.release()


@pytest.mark.parametrize("arrived", [0, 5, 20])
def test_a_cut_off_body_is_never_passed_off_as_whole(arrived: int) -> None:
    async def main() -> None:
        body = make()
        body.feed(b"x" * arrived)
        cause = OSError("reset")
        error = BodyDisconnected("the client went away after 5 bytes", request="POST /t")
        error.__cause__ = cause
        body.fail(error)
        body.finish()
        for _ in range(2):
            with pytest.raises(BodyDisconnected, match="went away") as caught:
                await body.read()
            assert caught.value is not error
            assert caught.value.request == "POST /t"
            assert caught.value.__cause__ is cause
        assert not body.at_eof
        body.release()

    asyncio.run(main())


def test_a_complete_body_is_not_truncated_afterwards() -> None:
    async def main() -> None:
        body = make()
        body.feed(b"all")
        body.finish()
        body.fail(BodyDisconnected("the client went away"))
        assert await body.read() == b"all"
        body.release()

    asyncio.run(main())


def test_bytes_after_the_end_are_dropped() -> None:
    body = make()
    body.finish()
    assert body.feed(b"more") is False
    assert body.dropped == 4
    assert body.read_blocking() == b""
    body.release()


def test_readexactly_and_its_short_end() -> None:
    async def main() -> None:
        body = make()
        body.feed(b"0123456789abc")
        assert await body.readexactly(10) == b"0123456789"
        body.finish()
        with pytest.raises(IncompleteBodyError, match="2 bytes before the 5") as caught:
            await body.readexactly(5)
        assert caught.value.partial == b"abc"
        body.release()

    asyncio.run(main())


def test_readinto_fills_what_it_is_given() -> None:
    async def main() -> None:
        body = make()
        body.feed(b"0123456789")
        target = bytearray(4)
        assert await body.readinto(target) == 4
        assert target == b"0123"
        assert await body.readinto(memoryview(target)[1:3]) == 2
        assert target == b"0453"
        assert await body.readinto(bytearray()) == 0
        with pytest.raises(TypeError, match="read-only"):
            await body.readinto(memoryview(b"fixed"))
        assert await body.read(8) == b"67"
        assert await body.readinto(target) == 2
        body.finish()
        assert await body.readinto(target) == 0
        body.release()

    asyncio.run(main())


def test_iteration_yields_chunks() -> None:
    async def main() -> None:
        body = make()
        body.feed(b"0123456789")
        body.finish()
        assert [chunk async for chunk in body] == [b"01234567", b"89"]
        body.release()

    asyncio.run(main())


def test_the_context_manager_closes() -> None:
    async def main() -> None:
        async with make() as body:
            body.feed(b"x")
        assert body.closed
        await body.aclose()
        body.release()

    asyncio.run(main())
