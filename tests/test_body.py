"""The handle: reading in every way, waiting, being cut off, views, and refusals."""

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest

from nbio.blocks import BlockPool
from nbio.body import BodyReader
from nbio.errors import (
    BlockingCallError,
    BodyClosedError,
    BodyDisconnected,
    ConcurrentReadError,
    IncompleteBodyError,
)
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


@pytest.mark.parametrize("event", ["feed", "finish", "fail", "close", "release"])
def test_a_waiting_read_is_woken_by(event: str) -> None:
    async def main() -> None:
        body = make()
        task = asyncio.create_task(body.read(5))
        await settle()
        assert not task.done()
        if event == "feed":
            body.feed(b"hello")
            assert await task == b"hello"
        elif event == "finish":
            body.finish()
            assert await task == b""
        elif event == "fail":
            body.fail(BodyDisconnected("the client went away", request="POST /t"))
            with pytest.raises(BodyDisconnected):
                await task
        else:
            (body.close if event == "close" else body.release)()
            with pytest.raises(BodyClosedError):
                await task
        body.release()

    asyncio.run(main())


@pytest.mark.parametrize("event", ["feed", "finish", "fail", "close", "release"])
def test_a_waiting_thread_is_woken_by(event: str) -> None:
    body = make()
    result: list[bytes | BaseException] = []

    def work() -> None:
        try:
            result.append(body.read_blocking(5))
        except (BodyClosedError, BodyDisconnected) as error:
            result.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    if event == "feed":
        body.feed(b"hello")
    elif event == "finish":
        body.finish()
    elif event == "fail":
        body.fail(BodyDisconnected("the client went away"))
    else:
        (body.close if event == "close" else body.release)()
    thread.join(30)
    expected = {"feed": b"hello", "finish": b"", "fail": BodyDisconnected}
    want = expected.get(event, BodyClosedError)
    assert result[0] == want or (isinstance(want, type) and isinstance(result[0], want))
    body.release()


def test_a_coroutine_is_woken_from_another_thread() -> None:
    async def main() -> None:
        body = make()
        task = asyncio.create_task(body.read())
        await settle()
        await asyncio.to_thread(body.feed, b"from afar")
        await asyncio.to_thread(body.finish)
        assert await task == b"from afar"
        body.release()

    asyncio.run(main())


def test_a_body_is_read_from_a_second_loop() -> None:
    body = make()
    got: list[bytes] = []

    async def reader() -> None:
        got.append(await body.read())

    thread = threading.Thread(target=asyncio.run, args=(reader(),))
    thread.start()
    for _ in range(20):
        body.feed(b"abc")
    body.finish()
    thread.join(30)
    assert got == [b"abc" * 20]
    body.release()


def test_closing_after_the_readers_loop_is_gone() -> None:
    body = make()

    async def abandon() -> None:
        task = asyncio.ensure_future(body.read())
        await settle()
        kept.append(task)

    kept: list[asyncio.Future[bytes]] = []
    loop = asyncio.new_event_loop()
    loop.run_until_complete(abandon())
    loop.close()
    body.close()
    # Never to be finished by a closed loop; without this asyncio would complain of it.
    kept[0]._log_destroy_pending = False  # type: ignore[attr-defined]  # private, in a test
    body.release()


@pytest.mark.parametrize("bytes_came", [False, True])
def test_a_cancelled_read_loses_nothing(bytes_came: bool) -> None:
    async def main() -> None:
        body = make()
        task = asyncio.create_task(body.read(5))
        await settle()
        if bytes_came:
            # Woken and cancelled in one turn of the loop: the cancellation wins.
            body.feed(b"hello")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        if not bytes_came:
            body.feed(b"hello")
        assert await body.read(5) == b"hello"
        body.release()

    asyncio.run(main())


def test_a_timed_out_read_loses_nothing() -> None:
    async def main() -> None:
        body = make()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await body.read(5)
        body.feed(b"hello")
        assert await body.read(5) == b"hello"
        body.release()

    asyncio.run(main())
    body = make()
    with pytest.raises(TimeoutError, match="POST /t"):
        body.read_blocking(5, timeout=0)
    body.feed(b"hello")
    assert body.read_blocking(5, timeout=0) == b"hello"
    body.release()


def test_an_interrupt_of_a_waiting_thread_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(self: object, timeout: float | None) -> bool:
        raise KeyboardInterrupt

    body = make()
    monkeypatch.setattr("nbio.waiters.ThreadWaiter.sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        body.read_blocking(5)
    monkeypatch.undo()
    body.feed(b"hello")
    assert body.read_blocking(5) == b"hello"
    body.release()


def test_read_blocking_on_a_loops_thread_is_refused() -> None:
    async def main() -> None:
        body = make()
        body.feed(b"x")
        with pytest.raises(BlockingCallError, match=r"await body.read\(\)"):
            body.read_blocking()
        body.release()

    asyncio.run(main())


@pytest.mark.parametrize("how", ["read", "readinto", "next", "views", "blocking"])
def test_a_second_reader_is_refused(how: str) -> None:
    async def main() -> None:
        body = make()
        task = asyncio.create_task(body.read(5))
        await settle()
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "read": lambda: body.read(1),
            "readinto": lambda: body.readinto(bytearray(1)),
            "next": lambda: body.__anext__(),
            "views": lambda: body.views().__anext__(),
            "blocking": lambda: asyncio.to_thread(body.read_blocking, 1),
        }
        with pytest.raises(ConcurrentReadError, match="one reader at a time"):
            await calls[how]()
        body.feed(b"hello")
        assert await task == b"hello"
        body.release()

    asyncio.run(main())


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


# Views.


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
