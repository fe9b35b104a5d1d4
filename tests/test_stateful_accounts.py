"""The pools' books, limits, marks and error messages, beside a simple reference, in any order.

What the model leaves out: how many there may be, what is counted, what debug mode notes, what an
error says. A reference in plain lists is asked the same at every step.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from nbio.blocks import POISON, BlockPool, Safety
from nbio.body import BodyReader
from nbio.errors import (
    BodyClosedError,
    BodyDisconnected,
    BodyError,
    ConcurrentReadError,
    NbioError,
    PoolExhausted,
    PoolImbalance,
)
from nbio.pool import LATE_KEPT, SAMPLE, BodyPool
from proofs.abstraction import NOW
from proofs.interrupted import run

SIZE = 8
SAFETY: tuple[Safety, ...] = ("off", "simple", "debug")
# It ends each example itself with everything back.
pytestmark = pytest.mark.nbio_unbalanced


class Books(RuleBasedStateMachine):
    """A body pool over a block pool, both with limits, and what they should say of themselves."""

    @initialize(
        safety=st.sampled_from(SAFETY),
        slots=st.integers(1, 4),
        idle_slots=st.integers(0, 2),
        blocks=st.integers(1, 5),
        idle=st.integers(0, 3),
        high=st.integers(1, 3),
    )
    def make(
        self, safety: Safety, slots: int, idle_slots: int, blocks: int, idle: int, high: int
    ) -> None:
        self.safety, self.most, self.most_blocks = safety, slots, blocks
        self.idle_slots, self.idle_blocks = idle_slots, idle
        self.blocks = BlockPool(SIZE, idle, blocks, safety=safety)
        self.high, self.low = high, high - 1
        self.pool = BodyPool(
            self.blocks,
            max_slots=slots,
            max_idle_slots=idle_slots,
            high_water=high,
            low_water=high - 1,
            safety=safety,
        )
        self.open: list[BodyReader] = []
        self.done: list[tuple[BodyReader, str]] = []
        self.taken: list[bytearray] = []
        self.acquired = self.late = self.stale = self.leaked = 0
        self.feeders = set[str]()
        self.resumed: list[str] = []

    @contextmanager
    def resuming(self, body: BodyReader) -> Iterator[None]:
        """A paused feeder is told, once, when it may go on; another never."""
        name, was_paused = body.request, body.paused
        expected = [name] if was_paused and name in self.feeders else []
        yield
        assert self.resumed == (expected if body.closed or not body.paused else [])
        self.resumed.clear()

    @rule(told=st.booleans())
    def acquire(self, told: bool = False) -> None:
        if len(self.open) == self.most:
            with pytest.raises(PoolExhausted, match=f"all {self.most} bodies are in use"):
                self.pool.acquire("POST /too-many")
            return
        name = f"POST /{self.acquired}"
        self.acquired += 1
        if told:
            self.feeders.add(name)
            resume = partial(self.resumed.append, name)
            body = self.pool.acquire(name, loop=NOW, on_resume=resume)
        else:
            body = self.pool.acquire(name)
        every = {"off": 0, "simple": SAMPLE, "debug": 1}[self.safety]
        noted = bool(every) and self.acquired % every == 0
        assert (body._slot.acquired_at is not None) is noted
        if noted:
            assert __file__ in str(body._slot.acquired_at)
        assert body.request == name
        assert [body.closed, body.at_eof, body.detached, body.paused] == [False] * 4
        assert (body.received, body.consumed, body.dropped) == (0, 0, 0)
        self.open.append(body)

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0), by=st.sampled_from(("handler", "framework")))
    def close(self, which: int, by: str) -> None:
        body = self.open.pop(which % len(self.open))
        # What was detached only its owner closes.
        by = "handler" if body.detached else by
        with self.resuming(body):
            body.close() if by == "handler" else body.release()
        self.done.append((body, by))
        assert body.closed

    @precondition(lambda self: self.done)
    @rule(which=st.integers(0), by=st.sampled_from(("handler", "framework")))
    def close_late(self, which: int, by: str) -> None:
        body, first = self.done[which % len(self.done)]
        remembered = len(self.pool.late_closes)
        if by == "framework":
            body.release()
            assert len(self.pool.late_closes) == remembered
            return
        body.close()
        if first == "handler":
            self.late += 1
        else:
            self.stale += 1
        if self.safety == "debug":
            assert len(self.pool.late_closes) == min(remembered + 1, LATE_KEPT)
            told = str(self.pool.late_closes[-1])
            assert f"the body of {body.request!r} was closed by the {first}, and again" in told
            assert "closed first at" in told
            assert told.count(__file__) >= 2
        else:
            assert not self.pool.late_closes

    @precondition(lambda self: self.done)
    @rule(which=st.integers(0), how=st.sampled_from(("read", "views", "detach", "thread")))
    def use_late(self, which: int, how: str) -> None:
        body, first = self.done[which % len(self.done)]
        uses: dict[str, Callable[[], object]] = {
            "read": lambda: run(body.read(1)),
            "views": lambda: run(body.views().__anext__()),
            "detach": body.detach,
            "thread": lambda: body.read_blocking(1),
        }
        with pytest.raises(BodyClosedError) as caught:
            uses[how]()
        event = "detach" if how == "detach" else "read"
        said = f"the body of {body.request!r} refused {event}: it was closed by the {first}"
        assert str(caught.value).startswith(said)
        assert ("closed at" in str(caught.value)) is (self.safety == "debug")
        assert caught.value.closed_by == first
        assert caught.value.request == body.request

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0), by=st.sampled_from(("drain", "acquire", "release")))
    def forget(self, which: int, by: str) -> None:
        body = self.open.pop(which % len(self.open))
        detached = body.detached
        if detached:
            # Nobody but its owner may end it, and here that forgets to.
            body.release()
        name = body.request
        expected = [name] if body.paused and name in self.feeders else []
        del body
        with pytest.warns(ResourceWarning, match=f"body of '{name}' was never closed") as told:
            self.find_it(by)
        assert self.pool._pending.empty()
        assert ("the detached body" in str(told[0].message)) is detached
        assert self.resumed[: len(expected)] == expected
        assert len(self.resumed) == len(expected) or by == "release"
        self.resumed.clear()
        self.leaked += 1

    def find_it(self, by: str) -> None:
        if by == "acquire":
            # Has its slot, also where no other was to be had.
            self.acquire()
        elif by == "release" and self.open and not self.open[0].detached:
            self.close(0, "framework")
        else:
            assert self.pool.drain() == 1

    @property
    def out(self) -> int:
        """Blocks in bodies and with us."""
        return len(self.taken) + sum(len(b._slot.blocks) for b in self.open)

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0), size=st.integers(1, 3 * SIZE))
    def feed(self, which: int, size: int) -> None:
        body = self.open[which % len(self.open)]
        slot = body._slot
        if slot.ended:
            return
        room = SIZE - slot.ends[-1] if slot.ends else 0
        needed = max(0, -(-(size - room) // SIZE))
        received, held = body.received, slot.held
        data = bytes(range(65, 65 + size))
        if self.out + needed > self.most_blocks:
            with pytest.raises(PoolExhausted, match=f"all {self.most_blocks} blocks of 8 bytes"):
                body.feed(data)
            return
        pause = body.feed(data)
        assert body.received == received + size
        assert slot.held == held + needed == len(slot.blocks) == len(slot.ends)
        assert pause == body.paused
        if held + needed >= self.high:
            assert pause
        assert bytes(slot.blocks[-1][: slot.ends[-1]]).endswith(data[-1:])

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0), size=st.integers(0, SIZE))
    def feed_block(self, which: int, size: int) -> None:
        body = self.open[which % len(self.open)]
        slot = body._slot
        if self.out == self.most_blocks or slot.ended:
            return
        block = self.blocks.get()
        block[:size] = b"b" * size
        copied = size * 4 <= SIZE and slot.held > 0 and size <= SIZE - slot.ends[-1]
        received, held = body.received, slot.held
        rest, pause = body.feed_block(block, size)
        assert (rest is block) is (copied or not size)
        assert slot.held == held + (rest is None)
        assert body.received == received + size
        assert pause == body.paused
        if rest is not None:
            self.blocks.put(rest)

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0), n=st.integers(0, 2 * SIZE), how=st.sampled_from(("read", "into")))
    def read(self, which: int, n: int, how: str) -> None:
        body = self.open[which % len(self.open)]
        slot, was_paused = body._slot, body.paused
        if not slot.held:
            return
        there = slot.ends[0] - slot.start
        consumed, held = body.consumed, slot.held
        with self.resuming(body):
            if how == "read":
                got = run(body.read(n))
                assert isinstance(got, bytes)
                count = len(got)
            else:
                said = run(body.readinto(bytearray(n)))
                assert isinstance(said, int)
                count = said
        # No lease is out afterwards, and none was needed for nothing.
        assert slot.leased == 0
        assert count == min(n, there)
        assert body.consumed == consumed + count
        assert slot.held == held - (count == there)
        assert body.paused == (was_paused and slot.held > self.low)

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0))
    def refuse_a_second_reader(self, which: int) -> None:
        body = self.open[which % len(self.open)]
        if not body._slot.held:
            return
        views = body.views()
        run(views.__anext__())
        assert run(body.read(0)) == b""
        assert run(body.readinto(bytearray())) == 0
        with pytest.raises(ConcurrentReadError, match="refused read: another reader is at work"):
            run(body.read(1))
        with pytest.raises(TypeError, match="read-only"):
            run(body.readinto(memoryview(b"const")))
        with self.resuming(body):
            run(views.aclose())
        assert body._slot.leased == 0

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0))
    def fail(self, which: int) -> None:
        body = self.open.pop(which % len(self.open))
        if not body._slot.ended:
            error = BodyDisconnected("gone", request=body.request)
            with self.resuming(body):
                body.fail(error)
                body.fail(BodyError("later"))
            assert not body.paused
            for _ in range(2):
                with pytest.raises(BodyDisconnected, match="gone") as caught:
                    run(body.read(1))
                assert caught.value is not error
        by = "handler" if body.detached else "framework"
        body.close() if body.detached else body.release()
        self.done.append((body, by))

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0))
    def finish(self, which: int) -> None:
        body = self.open[which % len(self.open)]
        body.finish()
        assert body.at_eof is (not body._slot.held)
        if self.out < self.most_blocks:
            dropped, received = body.dropped, body.received
            assert not body.feed(b"late")
            assert (body.dropped, body.received) == (dropped + 4, received)

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0))
    def detach(self, which: int) -> None:
        body = self.open[which % len(self.open)]
        assert body.detach() is body
        assert body.detached
        assert __file__ in str(body._slot.acquired_at)
        body.release()
        assert not body.closed

    @rule()
    def take(self) -> None:
        if self.out == self.most_blocks:
            with pytest.raises(PoolExhausted, match=f"all {self.most_blocks} blocks"):
                self.blocks.get()
            return
        block = self.blocks.get()
        assert len(block) == SIZE
        assert not any(block is b for b in self.taken)
        assert not any(block is b for body in self.open for b in body._slot.blocks)
        block[:] = b"x" * SIZE
        self.taken.append(block)

    @precondition(lambda self: self.taken)
    @rule(keep=st.booleans())
    def give(self, keep: bool) -> None:
        block = self.taken.pop()
        view = memoryview(block)[1:2] if keep else None
        before = self.blocks.stats()
        self.blocks.put(block)
        after = self.blocks.stats()
        assert after.given_up == before.given_up + keep
        room = before.idle < self.idle_blocks
        assert after.idle == before.idle + (room and not keep)
        assert after.outstanding == before.outstanding - 1
        assert after.released == before.released + (not keep)
        assert len(block) == SIZE
        if self.safety == "debug" and not keep:
            assert block == bytes([POISON]) * SIZE
            if room:
                with pytest.raises(NbioError, match="given back twice"):
                    self.blocks.put(block)
        del view

    @rule(size=st.sampled_from((0, SIZE - 1, SIZE + 1)))
    def give_what_is_no_block(self, size: int) -> None:
        with pytest.raises(ValueError, match=f"a bytearray of {size} bytes isn't a block"):
            self.blocks.put(bytearray(size))

    @invariant()
    def the_books_agree(self) -> None:
        # Nothing that was given back has a finalizer left to run.
        assert self.pool._pending.empty()
        stats, blocks = self.pool.stats(), self.blocks.stats()
        assert stats.blocks == blocks
        assert (stats.acquired, stats.outstanding) == (self.acquired, len(self.open))
        assert stats.released == self.acquired - len(self.open)
        assert (stats.double_closes, stats.stale_closes) == (self.late, self.stale)
        assert stats.leaks == self.leaked
        assert blocks.outstanding == self.out
        assert blocks.acquired == blocks.released + blocks.given_up + blocks.outstanding
        assert blocks.idle == len(self.blocks._idle) <= self.idle_blocks
        assert len(self.pool._idle) <= self.idle_slots + (self.acquired == 0)
        assert len(self.pool._slots) == len(self.open) + len(self.pool._idle)
        assert not any(s.blocks or s.ends or s.start for s in self.pool._idle)
        names = sorted(name for name, _ in self.pool.outstanding())
        assert names == sorted(b.request for b in self.open)

    @invariant()
    def balance_is_demanded(self) -> None:
        if not self.open and not self.out:
            self.pool.assert_balanced()
            return
        with pytest.raises(PoolImbalance) as caught:
            self.pool.assert_balanced()
        told = str(caught.value)
        assert told.startswith(f"{len(self.open)} of {self.acquired} bodies and {self.out} of ")
        assert all(repr(body.request) in told for body in self.open)

    def teardown(self) -> None:
        for body in self.open:
            body.close()
        while self.taken:
            self.blocks.put(self.taken.pop())
        self.pool.assert_balanced()
        self.pool.leaks = 0


TestBooks = Books.TestCase
TestBooks.settings = settings(
    max_examples=120,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
