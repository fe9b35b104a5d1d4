"""The handle: readers that wait, and what wakes, cancels or refuses them."""

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest

from nbio.errors import BlockingCallError, BodyClosedError, BodyDisconnected, ConcurrentReadError
from tests.live import source_only
from tests.test_body import make, settle


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


@source_only
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
