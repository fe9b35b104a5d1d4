"""The handle: views of a body, and who holds up its recycling."""

import asyncio

import pytest

from nbio.errors import BodyClosedError
from tests.test_body import make


def test_views_are_read_only_and_whole() -> None:
    async def main() -> None:
        body = make()
        body.feed(b"0123456789")
        body.finish()
        parts: list[bytes] = []
        async for view in body.views():
            assert view.readonly
            parts.append(bytes(view))
        assert parts == [b"01234567", b"89"]
        # The loop's own variable did not cost the pool its blocks.
        assert body._pool.stats().blocks.given_up == 0
        assert body.at_eof
        body.release()

    asyncio.run(main())


def test_bytes_fed_beside_a_view_come_next() -> None:
    async def main() -> None:
        body = make()
        body.feed(b"012")
        views = body.views()
        first = await anext(views)
        body.feed(b"3456789")
        assert bytes(first) == b"012"
        assert bytes(await anext(views)) == b"34567"
        with pytest.raises(ValueError, match="released"):
            bytes(first)
        await views.aclose()
        assert await body.read(8) == b"89"
        body.release()

    asyncio.run(main())


def test_a_kept_slice_keeps_its_bytes_and_its_block() -> None:
    async def main() -> None:
        body = make()
        pool = body._pool
        body.feed(b"mine")
        views = body.views()
        kept = (await anext(views))[1:3]
        body.finish()
        with pytest.raises(StopAsyncIteration):
            await anext(views)
        assert pool.stats().blocks.given_up == 1
        body.release()
        other = pool.acquire("POST /other")
        other.feed(b"yours")
        assert bytes(kept) == b"in"
        other.release()

    asyncio.run(main())


def test_leaving_a_views_loop_gives_the_lease_back() -> None:
    async def main() -> None:
        body = make()
        body.feed(b"0123456789")
        async for view in body.views():
            assert bytes(view) == b"01234567"
            break
        assert await body.read(8) == b"89"
        body.release()

    asyncio.run(main())


def test_close_waits_for_a_view_and_release_does_not() -> None:
    async def main() -> None:
        body = make()
        pool = body._pool
        body.feed(b"0123456789")
        async with body.views() as views:
            view = await anext(views)
            body.close()
            assert body.closed
            assert bytes(view) == b"01234567"
            assert pool.stats().outstanding == 1
            with pytest.raises(BodyClosedError):
                await body.read()
        assert pool.stats().outstanding == 0

        second = pool.acquire("POST /second")
        second.feed(b"0123456789")
        views = second.views()
        view = await anext(views)
        second.release()
        assert pool.stats().outstanding == 0
        # The handed-out view keeps its bytes, and so its block.
        assert bytes(view) == b"01234567"
        assert pool.stats().blocks.given_up == 1
        third = pool.acquire("POST /third")
        third.feed(b"third")
        with pytest.raises(BodyClosedError, match="closed by the framework"):
            await anext(views)
        await views.aclose()
        assert await third.read(8) == b"third"
        third.release()

    asyncio.run(main())


def test_a_copy_holds_up_the_release_and_the_last_one_out_recycles() -> None:
    """A release in the middle of a thread's copy leaves the bytes to the copy."""
    body = make()
    pool = body._pool
    body.feed(b"01234567")
    assert body._lease(1) == 0
    body.release()
    assert body.closed
    assert pool.stats().outstanding == 1
    assert body._slot.blocks[0] == b"01234567"
    body._unlease(8)
    assert pool.stats().outstanding == 0
