"""Work for the pool that may be interrupted anywhere, and the books after it."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Final

from nbio._lifecycle import COPY, FREE
from nbio.blocks import BlockPool, Safety
from nbio.body import BodyReader
from nbio.errors import BodyDisconnected, BodyError
from nbio.pool import BodyPool
from proofs.abstraction import NOW, Sleeper

SIZE: Final = 4


class Interrupt(BaseException):
    """What the signal's handler raises."""


class Scene:
    """A pool with a body or two, what was done with them, and what is owed."""

    def __init__(self, safety: Safety) -> None:
        blocks = BlockPool(SIZE, max_idle=2, safety=safety)
        self.pool = BodyPool(blocks, max_idle_slots=1, high_water=2, low_water=1, safety=safety)
        self.bodies: list[BodyReader] = []
        self.sleepers: list[tuple[BodyReader, Sleeper]] = []
        self.resumed = 0
        self.iterators: list[object] = []

    def resume(self) -> None:
        self.resumed += 1

    def acquire(self) -> BodyReader:
        """A body that pauses at its second block."""
        body = self.pool.acquire("POST /", loop=NOW, on_resume=self.resume)
        self.bodies.append(body)
        return body

    def feed_block(self, body: BodyReader, size: int) -> None:
        """As the server does. Interrupted, the block is the caller's unless the body has it."""
        block = self.pool.blocks.get()
        try:
            rest, _ = body.feed_block(block, size)
            if rest is not None:
                self.pool.blocks.put(rest)
        except Interrupt:
            if not any(held is block for held in body._slot.blocks):
                self.pool.blocks.put(block)
            raise

    def sleep(self, body: BodyReader) -> None:
        """Somebody waits for its bytes."""
        sleeper = Sleeper()
        self.sleepers.append((body, sleeper))
        body._wait(sleeper)


def run(coroutine: Coroutine[object, None, object]) -> object:
    """Run a coroutine that has no need to wait."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits")


def reading(scene: Scene) -> None:
    """Feed and read in every way; end; close twice and release."""
    body = scene.acquire()
    body.feed(b"ab")
    body.feed(b"cdefghij")
    run(body.read(1))
    run(body.readinto(bytearray(SIZE)))
    scene.feed_block(body, 1)
    views = body.views()
    scene.iterators.append(views)
    run(views.__anext__())
    run(views.__anext__())
    run(views.aclose())
    body.finish()
    run(body.read())
    body.close()
    body.close()
    body.release()


def sleeping(scene: Scene) -> None:
    """Wait, and be woken by each who wakes."""
    for event in ("feed", "finish", "fail", "close", "give up"):
        body = scene.acquire()
        scene.sleep(body)
        if event == "feed":
            body.feed(b"x")
        elif event == "finish":
            body.finish()
        elif event == "fail":
            body.fail(BodyDisconnected("gone", request="POST /"))
        elif event == "close":
            body.close()
        else:
            body._give_up_waiting()
        body._wake(COPY)
        body.release()


def closing(scene: Scene) -> None:
    """Close under a lease, which is then given back; detach; cut off while paused."""
    body = scene.acquire()
    body.feed(b"0123456789")
    body._lease(COPY)
    body.detach()
    body.close()
    body._unlease(SIZE)
    other = scene.acquire()
    other.feed(b"0123456789")
    other.fail(BodyDisconnected("gone", request="POST /"))
    other.release()


def forgetting(scene: Scene) -> None:
    """Forget a body, an iterator and a third; be mended; look at the books."""
    for _ in range(2):
        body = scene.acquire()
        body.feed(b"012345")
        views = body.views()
        run(views.__anext__())
        del views
        scene.bodies.remove(body)
        del body
    scene.pool.stats()
    scene.pool.outstanding()
    scene.acquire().release()


WORK: Final = (reading, sleeping, closing, forgetting)


# ------------------------------------------------------------------------------ the books


def wrong(scene: Scene) -> str:
    """What is wrong when everybody has let go, "" for nothing; and what a next request meets."""
    pool = scene.pool
    if pool._lock.locked() or pool.blocks._lock.locked():
        return "P10, no other crash: a lock is still held, whoever comes next waits for ever"
    try:
        return _books(scene) or _next(pool)
    except (AssertionError, LookupError, ValueError, BodyError) as error:
        return f"P10, no other crash: later {type(error).__name__}: {error}"


def _books(scene: Scene) -> str:
    pool = scene.pool
    while scene.bodies:
        scene.bodies[-1].close()
        scene.bodies.pop().release()
    asleep = any(b._waiter is s and not s.called for b, s in scene.sleepers)
    scene.iterators.clear()
    scene.sleepers.clear()
    if asleep:
        return "L2, a waiting reader is woken: one sleeps on, though its body is over"
    while pool.drain():
        pass
    stats, idle = pool.stats(), pool._idle
    if stats.outstanding or set(idle) != pool._slots or len(set(idle)) != len(idle):
        return f"P8 and P1, slots: {stats}, {len(idle)} idle of {len(pool._slots)}"
    for slot in idle:
        whole = slot.guard is not None and not slot.blocks and not slot.ends and not slot.held
        if slot.state != FREE or not whole:
            return f"P5, an idle slot is as new: {slot.state}, {slot.blocks}, {slot.ends}"
    blocks = list(pool.blocks._idle)
    if len({id(b) for b in blocks}) != len(blocks) or any(len(b) != SIZE for b in blocks):
        return f"P2, no block is freed twice: {[len(b) for b in blocks]} bytes idle"
    return f"P8, conservation: {stats.blocks}" if stats.blocks.outstanding else ""


def _next(pool: BodyPool) -> str:
    for _ in range(2):
        body = pool.acquire("POST /next")
        body.feed(b"wxyz12")
        body.finish()
        read = run(body.read())
        body.release()
        if read != b"wxyz12":
            return f"P7, no request sees another's bytes: the next read {read!r}"
    return f"P8, conservation: {pool.stats()}" if pool.stats().blocks.outstanding else ""
