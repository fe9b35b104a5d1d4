"""TRUSTED: the real pool put on the model's stage, and read off in the model's terms.

:class:`Stage` does with the real `BodyPool`, block pool and handles what each action of the final
design's world says, and :meth:`Stage.seen` says which values of the model's variables the real
objects stand for. Slots and blocks are matched up to renaming: the stage notes which real one
plays which of the model's. Which of a slot's blocks comes first the model leaves open to renaming.

Left out: variables of the world that stand for nothing in the pool (what the wire did, whether a
request has begun, the observers' flags), and the order of bytes.
"""

import asyncio
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from model.ground import Place
from model.lifecycle import SLOT
from model.world import Bounds
from nbio import _lifecycle
from nbio._lifecycle import COPY, FREE, OK, VIEW
from nbio.blocks import BlockPool
from nbio.body import BodyReader
from nbio.errors import BodyDisconnected
from nbio.leaks import Guard
from nbio.pool import BodyPool, Slot
from nbio.verify.expr import Expr
from nbio.verify.ints import evaluate
from nbio.verify.machine import Event
from nbio.views import BodyViews

SIZE = 4
"""Bytes of a block; each feed fills one, with the number of its request."""


class Now(asyncio.SelectorEventLoop):
    """A loop that does at once what is posted to it: resuming is part of the event's step."""

    def call_soon_threadsafe(
        self, callback: Callable[..., object], *args: object, context: object = None
    ) -> asyncio.Handle:
        """Call it."""
        callback(*args)
        return asyncio.Handle(callback, args, self)


NOW = Now()
NOW.close()

Action = Guard | Callable[[], object]
"""An entry of the finalizers' queue."""


def owner(action: Action) -> object:
    """Whose method an entry of the queue is."""
    return getattr(action, "__self__", None)


class Sleeper:
    """A waiter that notes that it was called."""

    def __init__(self) -> None:
        self.called = False

    def wake(self) -> None:
        """Note it."""
        self.called = True


class Stage:
    """The real objects, and who plays what."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.pool = BodyPool(
            BlockPool(SIZE, max_idle=bounds.buffers),
            max_slots=bounds.slots,
            high_water=2,
            low_water=1,
            safety="off",
        )
        for _ in range(bounds.slots):
            self.pool._grow()
        self.slots: list[Slot] = list(self.pool._idle)
        self.bodies: list[BodyReader | None] = [None] * bounds.requests
        self.reading = [False] * bounds.requests
        self.blocks: list[bytearray | None] = [None] * bounds.buffers
        parties = bounds.requests + bounds.leftovers
        self.sleepers: list[Sleeper | None] = [None] * parties
        self.iterators: list[BodyViews | None] = [None] * parties
        self.copying: set[int] = set()
        self.kept: list[memoryview | None] = [None] * bounds.keepers

    def body(self, r: int) -> BodyReader:
        """The handle of request ``r``."""
        body = self.bodies[r]
        assert body is not None, f"request {r} has no handle"
        return body

    def of(self, p: int) -> BodyReader:
        """The handle that party ``p`` holds."""
        return self.body(p if p < self.bounds.requests else p - self.bounds.requests)

    def act(self, action: str, values: tuple[int, ...]) -> None:
        """Do one action of the model with the real objects."""
        getattr(self, f"do_{action}")(*values)

    # ------------------------------------------------------------------ the model's actions

    def do_begin(self, r: int, s: int) -> None:
        """The model's pool hands out any of its slots, the real one its last."""
        idle = self.pool._idle
        idle.append(idle.pop(idle.index(self.slots[s])))

        def resume() -> None:
            self.reading[r] = True

        with self.queue_aside():
            self.bodies[r] = self.pool.acquire(str(r), loop=NOW, on_resume=resume)
        self.reading[r] = True

    def do_feed(self, r: int, k: int) -> None:
        block = self.pool.blocks.get()
        block[:] = bytes([r]) * SIZE
        rest, pause = self.body(r).feed_block(block, SIZE)
        if rest is not None:
            self.pool.blocks.put(rest)
            return
        self._cast(block, k)
        self.reading[r] = self.reading[r] and not pause

    def _cast(self, block: bytearray, k: int) -> None:
        """The block plays number ``k``; or another, while a block that is in use plays that."""
        places = [self._place(b, self._inside(b)) for b in self.blocks]
        # Whatever this block played before is over, or the real pool is wrong.
        self.blocks = [None if b is block else b for b in self.blocks]
        free = [j for j, b in enumerate(self.blocks) if b is None or places[j] == Place.FREE]
        self.blocks[k if k in free else free[0]] = block

    def do_finish(self, r: int) -> None:
        self.body(r).finish()

    def do_cut(self, r: int) -> None:
        self.body(r).fail(BodyDisconnected("gone", request=str(r)))

    def do_read(self, p: int) -> None:
        if self.of(p)._lease(COPY) == OK:
            self.copying.add(p)

    def do_view(self, p: int) -> None:
        iterator = self.of(p).views()
        try:
            iterator.__anext__().send(None)
        except StopIteration:
            self.iterators[p] = iterator

    def do_sleep(self, p: int) -> None:
        sleeper = Sleeper()
        if self.of(p)._wait(sleeper) == OK:
            self.sleepers[p] = sleeper

    def do_wake(self, p: int) -> None:
        self.sleepers[p] = None
        if self.of(p)._wake(COPY) == OK:
            self.copying.add(p)

    def do_wake_view(self, p: int) -> None:
        self.sleepers[p] = None
        body, iterator = self.of(p), self.of(p).views()
        if body._wake(VIEW) == OK:
            iterator._view, body._view = body._view, None
            assert iterator._view is not None
            iterator._size = iterator._view.nbytes
            self.iterators[p] = iterator

    do_give_up = do_wake

    def do_copied(self, p: int, freed: int) -> None:
        slot = self.of(p)._slot
        self.copying.discard(p)
        self.of(p)._unlease(slot.ends[0] - slot.start if freed else 0)

    def do_viewed(self, p: int, keeps: int) -> None:
        iterator = self.iterators[p]
        assert iterator is not None
        if keeps:
            assert iterator._view is not None
            self.kept[p] = iterator._view[1:2]
        iterator._end()
        self.iterators[p] = None

    def do_forget(self, i: int) -> None:
        self.kept[i] = None

    def do_close(self, p: int) -> None:
        self.of(p).close()

    def do_detach(self, r: int) -> None:
        self.body(r).detach()

    def do_release(self, r: int) -> None:
        with self.queue_aside():
            self.body(r).release()

    def do_drop(self, p: int) -> None:
        # An iterator between two steps puts itself on the finalizers' queue.
        self.iterators[p] = None

    def do_drain(self, p: int) -> None:
        body = self.of(p)
        queue = self._take_queue()
        mine = [a for a in queue if isinstance(o := owner(a), BodyViews) and o._body is body]
        self._put_queue(mine)
        self.pool.drain()
        self._put_queue(a for a in queue if a not in mine)

    def do_finalize(self, r: int) -> None:
        with self.queue_aside(), warnings.catch_warnings():
            # That a body was forgotten is the action, and its report no surprise.
            warnings.simplefilter("ignore", ResourceWarning)
            self.bodies[r] = None
            self.pool.drain()

    def end(self) -> None:
        """Everybody lets go of everything. Raises PoolImbalance when that is not all there is."""
        for p in list(self.copying):
            self.do_copied(p, 0)
        self.kept = [None] * len(self.kept)
        self.iterators = [None] * len(self.iterators)
        for body in filter(None, self.bodies):
            body.close()
        self.bodies = [None] * len(self.bodies)
        self.pool.assert_balanced()

    # What finalizers left is drained by the model as a step of its own. The real acquire and
    # release drain first and then act: two steps of the model, so here without the first.

    @contextmanager
    def queue_aside(self) -> Iterator[None]:
        """Nothing is drained that was on the finalizers' queue before."""
        queue = self._take_queue()
        yield
        self._put_queue(queue)

    def _take_queue(self) -> list[Action]:
        pending = self.pool._pending
        return [pending.get() for _ in range(pending.qsize())]

    def _put_queue(self, actions: Iterable[Action]) -> None:
        for action in actions:
            self.pool._pending.put(action)

    # -------------------------------------------------------------------- the abstraction

    def seen(self) -> dict[str, int]:
        """The model's variables that the real objects stand for, by name."""
        found: dict[str, int] = {}
        for s, slot in enumerate(self.slots):
            found.update({f"{n}[{s}]": int(getattr(slot, n)) for n in SLOT.fields})
            found[f"pooled[{s}]"] = self.pool._idle.count(slot)
            found[f"owner[{s}]"] = self._owner(slot)
        for k, block in enumerate(self.blocks):
            inside = self._inside(block)
            found[f"in[{k}]"] = inside
            found[f"block[{k}]"] = place = self._place(block, inside)
            free = block is None or place == Place.FREE
            found[f"tag[{k}]"] = self.bounds.requests if block is None or free else block[1]
        for r, body in enumerate(self.bodies):
            found[f"handle[{r}]"] = self.slots.index(body._slot) if body else 0
            found[f"stamp[{r}]"] = body.generation if body else 0
            found[f"reading[{r}]"] = int(self.reading[r])
            if body:
                found[f"closed[{r}]"] = int(body.closed)
        for p, sleeper in enumerate(self.sleepers):
            found[f"called[{p}]"] = int(sleeper is not None and sleeper.called)
            found[f"current[{p}]"] = self._number(self._looked_at(p))
        for i, view in enumerate(self.kept):
            found[f"kept[{i}]"] = self._number(view.obj) + 1 if view is not None else 0
        return found

    def _looked_at(self, p: int) -> object:
        """The block whose bytes party ``p`` looks at, if any."""
        if p in self.copying:
            return self.of(p)._slot.blocks[0]
        body = self.bodies[p if p < self.bounds.requests else p - self.bounds.requests]
        dropped = [i for i in self._dropped() if i._body is body and p < self.bounds.requests]
        iterators = [*filter(None, [self.iterators[p]]), *dropped]
        return iterators[0]._view.obj if iterators and iterators[0]._view else None

    def _number(self, block: object) -> int:
        """Which of the model's blocks a real one plays; 0 for none, as the model has it."""
        return next((k for k, b in enumerate(self.blocks) if b is not None and b is block), 0)

    def _owner(self, slot: Slot) -> int:
        """Whose slot it is: the request whose handle is of its generation."""
        nobody = self.bounds.requests
        if slot.state == FREE:
            return nobody
        holds = [
            r
            for r, b in enumerate(self.bodies)
            if b and b._slot is slot and b.generation == slot.generation
        ]
        return holds[0] if len(holds) == 1 else -1

    def _inside(self, block: bytearray | None) -> int:
        for s, slot in enumerate(self.slots):
            if any(block is held for held in slot.blocks):
                return s
        return self.bounds.slots

    def _place(self, block: bytearray | None, inside: int) -> Place:
        idle = sum(b is block for b in self.pool.blocks._idle)
        assert idle <= 1, "a block is in its pool twice"
        if inside < self.bounds.slots:
            assert not idle, "a block is in a slot and in its pool"
            return Place.USED
        iterators = [*filter(None, self.iterators), *self._dropped()]
        views = [*self.kept, *(i._view for i in iterators)]
        alive = any(v is not None and v.obj is block for v in views)
        assert not (alive and idle), "a block that somebody sees is in its pool"
        return Place.GONE if alive else Place.FREE

    def _dropped(self) -> list[BodyViews]:
        """Iterators that wait on the finalizers' queue."""
        queue = self._take_queue()
        self._put_queue(queue)
        return [o for o in map(owner, queue) if isinstance(o, BodyViews)]

    # -------------------------------------------------------------------------- refusals

    def refusals(self) -> int:
        """Try every event that the lifecycle refuses now, through every handle.

        Returns how many there were. Raises AssertionError where one was not refused with the
        outcome that the tables give.
        """
        count = 0
        for body in filter(None, self.bodies):
            count += sum(self._try(body, event) for event in EVENTS)
        return count

    def _try(self, body: BodyReader, event: str) -> bool:
        expected = self.expected(body, event)
        if expected >= OK:
            return False
        got = EVENTS[event](self, body)
        assert got == expected, f"{event} came to {got}, the model says {expected}"
        return True

    def expected(self, body: BodyReader, event: str) -> int:
        """The outcome that the lifecycle gives for an event through a handle."""
        given = {n: int(getattr(body._slot, n)) for n in SLOT.fields}
        given |= {"presented": body.generation, "kind": COPY, "blocks": 1, "high": 2}
        return by_table(SLOT.events[event], given, ())[0]

    def offer(self, body: BodyReader) -> int:
        """Feed a block; the outcome, when it was refused."""
        block = self.pool.blocks.get()
        code = body._feed_block(block, SIZE)
        self.pool.blocks.put(block)
        return code


def by_table(event: Event, given: dict[str, int], returns: Sequence[str]) -> tuple[int, ...]:
    """What the model's table makes of an event: the outcome, and the fields of ``returns``."""

    def leaf(node: Expr) -> int:
        return given[str(node.data[0])]

    rule = next(r for r in event.rules if evaluate(r.when, leaf))
    new = {n: evaluate(e, leaf) for n, e in rule.writes.items()}
    return (int(rule.outcome), *(new.get(n, given[n]) for n in returns))


def _unchanged(event: str) -> Callable[[Stage, BodyReader], int]:
    """The events whose method says nothing of its outcome: it is what leaves the slot as it was."""

    def attempt(stage: Stage, body: BodyReader) -> int:
        error = BodyDisconnected("late", request="?")
        before = stage.expected(body, event)
        body.finish() if event == "finish" else body.fail(error)
        return before

    return attempt


EVENTS: dict[str, Callable[[Stage, BodyReader], int]] = {
    "feed": Stage.offer,
    "finish": _unchanged("finish"),
    "fail": _unchanged("fail"),
    "lease": lambda stage, body: body._lease(COPY),
    "wait": lambda stage, body: body._wait(Sleeper()),
    "detach": lambda stage, body: body._detach(),
    "close": lambda stage, body: body._shut(_lifecycle.close, "handler"),
    "release": lambda stage, body: body._shut(_lifecycle.release, "framework"),
}
