"""The body pool: slots and generations, who closes first, leaks, counts, and threads."""

import asyncio
import threading
import warnings

import pytest

from nbio import _lifecycle
from nbio.blocks import BlockPool
from nbio.body import BodyReader
from nbio.errors import BodyClosedError, PoolExhausted, PoolImbalance
from nbio.pool import BodyPool
from nbio.testing import balanced, check


def small(max_slots: int = 100, max_idle_slots: int = 100) -> BodyPool:
    return BodyPool(
        BlockPool(block_size=8),
        high_water=2,
        low_water=0,
        max_slots=max_slots,
        max_idle_slots=max_idle_slots,
    )


def test_a_slot_is_used_again_at_the_next_generation() -> None:
    pool = small()
    first = pool.acquire("GET /1")
    slot = first._slot
    first.release()
    second = pool.acquire("GET /2")
    assert second._slot is slot
    assert second.generation == first.generation + 1
    assert first.closed
    assert not second.closed
    second.release()


@pytest.mark.parametrize("first", ["close", "release"])
@pytest.mark.parametrize("second", ["close", "release"])
def test_closing_twice_gives_the_slot_back_once(first: str, second: str) -> None:
    pool = small()
    body = pool.acquire("POST /a")
    body.feed(b"0123456789")
    getattr(body, first)()
    getattr(body, second)()
    stats = pool.stats()
    assert (stats.acquired, stats.released, stats.blocks.outstanding) == (1, 1, 0)
    one, other = pool.acquire("POST /b"), pool.acquire("POST /c")
    assert one._slot is not other._slot
    one.release()
    other.release()


def test_late_closes_are_counted_by_who_was_first() -> None:
    pool = small()
    twice = pool.acquire("POST /a")
    twice.close()
    twice.close()
    twice.release()
    late = pool.acquire("POST /b")
    late.release()
    late.close()
    stats = pool.stats()
    assert (stats.double_closes, stats.stale_closes) == (1, 1)


def test_a_late_close_does_not_touch_the_next_owner() -> None:
    pool = small()
    old = pool.acquire("POST /old")
    old.release()
    new = pool.acquire("POST /new")
    new.feed(b"new")
    old.close()
    old.release()
    assert old.feed(b"old") is False
    assert old.dropped == 3
    old.finish()
    old.fail(BodyClosedError("never"))
    assert not new.closed
    assert new.read_blocking(8) == b"new"
    assert not new.at_eof
    new.release()


@pytest.mark.parametrize("who", ["handler", "framework"])
def test_the_closed_error_says_who_was_first(who: str) -> None:
    pool = small()
    body = pool.acquire("POST /a")
    (body.close if who == "handler" else body.release)()
    body.close()
    body.release()
    with pytest.raises(BodyClosedError, match=f"'POST /a'.*closed by the {who}") as caught:
        body.read_blocking()
    assert caught.value.closed_by == who
    assert caught.value.request == "POST /a"
    with pytest.raises(BodyClosedError, match="refused detach"):
        body.detach()


def test_debug_remembers_both_closes() -> None:
    pool = BodyPool(safety="debug")
    body = pool.acquire("POST /a")
    body.close()
    body.close()
    (late,) = pool.late_closes
    assert "closed first at" in str(late)
    assert str(late).count("test_debug_remembers_both_closes") == 2
    with pytest.raises(BodyClosedError, match="closed at"):
        body.read_blocking()


def test_release_leaves_a_detached_body_alone() -> None:
    pool = small()
    body = pool.acquire("POST /a").detach()
    body.release()
    body.feed(b"later")
    assert body.detached
    assert body.read_blocking(5) == b"later"
    body.close()
    assert not body.detached


def test_above_max_slots_acquire_is_refused() -> None:
    pool = small(max_slots=1)
    body = pool.acquire("POST /a")
    with pytest.raises(PoolExhausted, match="raise max_slots"):
        pool.acquire("POST /b")
    body.release()
    pool.acquire("POST /c").release()


def test_above_max_idle_slots_are_dropped() -> None:
    pool = small(max_idle_slots=1)
    bodies = [pool.acquire(f"GET /{i}") for i in range(3)]
    for body in bodies:
        body.release()
    assert len(pool._idle) == len(pool._slots) == 1


@pytest.mark.parametrize(("low", "high"), [(2, 2), (-1, 2)])
def test_bad_marks_are_refused(low: int, high: int) -> None:
    with pytest.raises(ValueError, match="low_water < high_water"):
        BodyPool(low_water=low, high_water=high)


def test_a_detached_body_that_is_dropped_is_found_and_named() -> None:
    with balanced(small()) as pool, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        body = pool.acquire("POST /lost").detach()
        body.feed(b"bytes")
        body.release()
        slot = body._slot
        del body
        assert pool.stats().leaks == 1
        # The mended slot has a working guard again.
        again = pool.acquire("POST /lost-again")
        assert again._slot is slot
        del again
        assert pool.drain() == 1
        pool.leaks = 0
    first, second = (str(entry.message) for entry in caught)
    assert "detached body of 'POST /lost' was never closed" in first
    assert "test_a_detached_body_that_is_dropped" in first
    assert "'POST /lost-again'" in second


def test_a_warning_made_an_error_does_not_break_the_next_acquire(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[str] = []
    monkeypatch.setattr("sys.unraisablehook", lambda info: seen.append(str(info.exc_value)))
    pool = small()
    del_me = pool.acquire("POST /lost")
    del del_me
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pool.acquire("POST /next").release()
    assert len(seen) == 1
    assert "'POST /lost'" in seen[0]
    pool.leaks = 0


def test_a_body_given_back_costs_no_finalizer() -> None:
    pool = small()
    body = pool.acquire("POST /a")
    body.release()
    del body
    assert pool.drain() == 0


@pytest.mark.nbio_unbalanced
def test_imbalance_names_what_is_out_and_where() -> None:
    pool = BodyPool(safety="debug")
    body = pool.acquire("POST /held")
    body.feed(b"x")
    with pytest.raises(PoolImbalance, match=r"1 of 1 bodies and 1 of 1 blocks") as caught:
        pool.assert_balanced()
    assert "'POST /held' acquired at" in str(caught.value)
    assert "test_imbalance_names_what_is_out_and_where" in str(caught.value)
    body.release()
    leaked = pool.acquire("POST /leaked")
    del leaked
    with pytest.raises(PoolImbalance, match="POST /leaked"):
        check(pool)


def test_pausing_and_resuming_are_posted_to_the_loop() -> None:
    async def main() -> None:
        calls: list[int] = []
        pool = small()
        body = pool.acquire("POST /a", on_resume=lambda: calls.append(threading.get_ident()))
        assert body.feed(b"12345678") is False
        assert body.feed(b"12345678") is True
        assert body.paused
        await asyncio.to_thread(body.read_blocking, 8)
        # One block is above the low-water mark of none.
        assert body.paused
        await asyncio.to_thread(body.read_blocking, 8)
        assert not body.paused
        await asyncio.sleep(0)
        assert calls == [threading.get_ident()]
        body.feed(b"12345678" * 2)
        body.close()
        await asyncio.sleep(0)
        assert len(calls) == 2
        body.release()

    asyncio.run(main())


def test_a_resume_that_is_overtaken_by_a_feed_is_not_told() -> None:
    async def main() -> None:
        calls: list[None] = []
        pool = small()
        body = pool.acquire("POST /a", on_resume=lambda: calls.append(None))
        body.feed(b"12345678" * 2)
        assert await body.read(8) + await body.read(8) == b"12345678" * 2
        assert body.feed(b"12345678" * 2) is True
        await asyncio.sleep(0)
        assert calls == []
        assert await body.read(8) + await body.read(8) == b"12345678" * 2
        await asyncio.sleep(0)
        assert calls == [None]
        body.release()

    asyncio.run(main())


def test_between_the_marks_the_feeder_stays_paused() -> None:
    pool = BodyPool(BlockPool(block_size=8), high_water=3, low_water=1)
    body = pool.acquire("POST /a")
    assert body.feed(b"x" * 24) is True
    assert body.read_blocking(8) == b"x" * 8
    assert body._slot.held == 2
    assert body.feed(b"") is True
    body.release()


def test_a_finalizer_that_mends_a_paused_body_resumes_its_feeder() -> None:
    async def main() -> None:
        calls: list[None] = []
        pool = small()
        body = pool.acquire("POST /a", on_resume=lambda: calls.append(None))
        body.feed(b"12345678" * 2)
        del body
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pool.drain()
        await asyncio.sleep(0)
        assert calls == [None]
        pool.leaks = 0

    asyncio.run(main())


def test_a_closed_loop_has_nobody_to_resume() -> None:
    loop = asyncio.new_event_loop()
    pool = small()
    body = pool.acquire("POST /a", loop=loop, on_resume=lambda: None)
    body.feed(b"12345678" * 2)
    loop.close()
    body.close()


@pytest.mark.parametrize("safety", ["off", "simple", "debug"])
def test_threads_that_close_read_feed_and_release_at_once(safety: str) -> None:
    """Whatever the order: bytes of the right request only, and everything comes back once."""
    assert safety in ("off", "simple", "debug")
    blocks = BlockPool(block_size=8)
    if safety == "off":
        pool = BodyPool(blocks, safety="off")
    elif safety == "debug":
        pool = BodyPool(BlockPool(block_size=8, safety="debug"), safety="debug")
    else:
        pool = BodyPool(blocks)
    wrong: list[bytes] = []
    rounds = 300
    barrier = threading.Barrier(4)
    current: list[BodyReader] = []

    def prepare() -> None:
        if current:
            old = current.pop()
            old.release()
            assert old.closed
        sign = bytes([65 + len(wrong) % 2 + pool._acquired % 20])
        body = pool.acquire(f"POST /{sign.decode()}")
        body.feed(sign * 20)
        current.append(body)

    gate = threading.Barrier(4, action=prepare)

    def party(role: str) -> None:
        for _ in range(rounds):
            gate.wait()
            body = current[0]
            sign = body.request[-1:].encode()
            barrier.wait()
            try:
                if role == "read":
                    data = body.read_blocking(12) + body.read_blocking(12)
                    wrong.extend([data] if data.strip(sign) else [])
                elif role == "feed":
                    body.feed(sign * 20)
                    body.finish()
                elif role == "close":
                    body.close()
                else:
                    body.release()
            except BodyClosedError:
                pass
            barrier.wait()

    threads = [
        threading.Thread(target=party, args=(r,)) for r in ("read", "feed", "close", "release")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    current[0].release()
    stats = pool.stats()
    assert (stats.acquired, stats.released, stats.leaks) == (rounds, rounds, 0)
    assert stats.blocks.outstanding == 0
    assert all(slot.state == _lifecycle.FREE for slot in pool._idle)
