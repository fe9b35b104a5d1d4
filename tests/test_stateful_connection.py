"""Hypothesis drives a whole connection, without a socket, beside a reference that has no buffers.

Any split of the bytes, any order of what arrives and what applications do with their bodies and
responses, pauses in both directions, time by hand. After each step: which handlers were called,
what they could read, what was answered in which order, whether the connection is kept, paused or
closed, and the pool's books, are what `tests/machines/conversation.py` says.
"""

import asyncio
import logging
from collections.abc import Iterator
from unittest import mock

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from nbio import http1, protocol
from nbio.blocks import BlockPool
from nbio.body import BodyReader
from nbio.config import Config
from nbio.errors import BodyClosedError
from nbio.hub import Hub
from nbio.native import NativeSite, Request, Response
from nbio.protocol import Connection
from proofs.lives import Watch
from tests.machines import budget
from tests.machines.checks import BLOCK, HIGH, LOW, PIPELINED, SEEN, Checks
from tests.machines.conversation import GONE, MALFORMED, MAX_DRAIN, TOO_LARGE, Conversation
from tests.machines.messages import SIZES, content, requests, upload
from tests.machines.pairs import PENDING, Pair
from tests.machines.reference import MAX_BODY, MAX_FIELDS, MAX_HEAD, MAX_LINE
from tests.machines.stage import Call, Loop, Wire

pytestmark = [pytest.mark.nbio_unbalanced, pytest.mark.timeout(budget.SECONDS)]

PATIENCE = 8.0
LONG = 12
"""So many times something happens before trouble may come."""
CONFIG = Config(
    max_request_line=MAX_LINE, max_head=MAX_HEAD, max_headers=MAX_FIELDS, max_body=MAX_BODY,
    max_drain=MAX_DRAIN, max_pipelined=PIPELINED, block_size=BLOCK, high_water=HIGH, low_water=LOW,
    head_timeout=PATIENCE, idle_timeout=PATIENCE, body_timeout=PATIENCE, write_timeout=PATIENCE,
    linger_timeout=2.0, body_min_bytes=1, safety="off", interface="native",
)  # fmt: skip
LOOP = Loop()
WATCH = Watch()
EXPECTED = {
    *(f"answered {n}" for n in (100, 200, 400, 408, 413, 414, 417, 431, 500, 501, 505)),
    *(f"{how} {what}" for how in ("read", "rest", "into", "view")
      for what in ("bytes", "end", "closed", GONE, MALFORMED, TOO_LARGE)),
    *("read busy", "rest busy", "into busy"),
    *("kept", "closed", "half-closed", "reset", "pause", "full", "kept view", "detached"),
}  # fmt: skip
WHICH = st.sampled_from((0, 0, 0, 1, 2, 3))
"""The newest request, mostly."""
EARLY = st.sampled_from((False, False, False, True))
"""Whether a response may end before its request was read."""


class ConnectionBesideReference(Checks):
    """One hub; one connection after the other; every handler that was ever called."""

    @initialize(request=upload(), sizes=st.lists(SIZES, max_size=2))
    def begin(self, request: bytes, sizes: list[int]) -> None:
        self.trouble: list[dict[str, object]] = []
        for task in asyncio.all_tasks(LOOP):
            task.cancel()  # of a run that failed
        LOOP.settle()
        LOOP.set_exception_handler(lambda _, context: self.trouble.append(context))
        site = NativeSite(self.handle, 1)
        self.hub = Hub(CONFIG, site, LOOP)
        self.hub.pool = WATCH.pool(BlockPool(BLOCK), high_water=HIGH, low_water=LOW, safety="off")
        site.begin(self.hub.pool)
        self.hub.start()
        self.called: list[Call] = []
        self.pairs: list[Pair] = []
        self.kept: list[tuple[memoryview, bytes]] = []
        self.number = self.viewed = self.largest = 0
        self.connect()
        # By chance alone most runs would be over before a body is under way.
        self.send(request, [90, *sizes], rest=False)

    async def handle(self, request: Request) -> Response:
        call = Call(request)
        self.called.append(call)
        return await call.play()

    def connect(self) -> None:
        self.talk = Conversation()
        self.called = []
        self.connection = Connection(self.hub)
        self.wire = Wire(LOOP, self.connection)
        self.age = 0
        self.waited, self.was_full = 0.0, False
        self.mark = (0, 0, 0)
        self.connection.connection_made(self.wire)
        self.settle()

    def happen(self) -> None:
        """Let the real ones do what they were given; then it is known whether more must wait."""
        LOOP.settle()
        begun = len(self.called) > len(self.talk.calls)
        assert not (begun and self.was_full and self.wire.full), "served, and reads nothing"
        over = self.wire.halved or self.wire.closing
        self.talk.full = self.wire.full and not begun and not over

    def settle(self) -> None:
        LOOP.settle()
        self.was_full = self.wire.full
        self.age += 1
        known = [pair.call for pair in self.pairs]
        for call, called in zip(self.called, self.talk.calls, strict=False):
            if call not in known:
                self.pairs.append(Pair(call, called))
        for pair in self.pairs:
            if pair.reading:
                self.judge(pair)

    # ------------------------------------------------------------------------ the client

    def deliver(self, size: int) -> None:
        while data := self.wire.take(size):
            size -= len(data)
            self.largest = max(self.largest, len(data))
            self.happen()
            self.talk.receive(data)
            self.settle()
        if self.wire.end():
            self.happen()
            self.talk.end()
            self.settle()

    @precondition(lambda self: not self.wire.ending and len(self.wire.kernel) < 200)
    @rule(request=requests(), sizes=st.lists(SIZES, min_size=1, max_size=5), rest=st.booleans())
    def send(self, request: bytes, sizes: list[int], rest: bool) -> None:
        self.number += 1
        self.wire.kernel += request.replace(b"/N", b"/%d" % self.number)
        for size in sizes:
            self.deliver(size)
        if rest:
            self.deliver(1 << 20)

    @precondition(lambda self: self.wire.kernel and not self.wire.paused)
    @rule(sizes=st.lists(SIZES, min_size=1, max_size=4))
    def arrive(self, sizes: list[int]) -> None:
        for size in sizes:
            self.deliver(size)

    @precondition(lambda self: self.wire.kernel and not self.wire.paused)
    @rule()
    def arrive_all(self) -> None:
        self.deliver(1 << 20)

    def end(self) -> None:
        self.wire.ending = True
        self.deliver(0)

    def lose(self) -> None:
        self.wire.lost = self.wire.closing = self.wire.aborted = True
        self.connection.connection_lost(ConnectionResetError())
        self.talk.lose()
        self.settle()

    @precondition(lambda self: self.wire.lost or self.wire.closing or self.wire.halved)
    @rule()
    def connect_again(self) -> None:
        self.read_again()
        self.silence()
        self.connect()

    @precondition(lambda self: not self.wire.stalled and not self.wire.closing)
    @rule()
    def stop_reading(self) -> None:
        self.wire.stalled = True

    @precondition(lambda self: self.wire.stalled)
    @rule()
    def go_on_reading(self) -> None:
        self.read_again()

    def read_again(self) -> None:
        self.wire.flow()
        self.happen()
        self.talk.look()
        self.settle()

    # ----------------------------------------------------------------------------- time

    @precondition(lambda self: self.wire.kernel == b"" or self.wire.paused)
    @rule()
    def moment(self) -> None:
        """Too short for anything to be over, also together with the moments before."""
        mark = (len(self.talk.calls), len(self.talk.replies), self.talk.at)
        if mark != self.mark or self.talk.closed:
            self.mark, self.waited = mark, 0.0
        if self.waited < PATIENCE - 2 and not self.talk.closed:
            self.waited += 1.0
            LOOP.elapse(1.0)
            self.settle()

    def silence(self) -> None:
        self.deliver(1 << 20)
        self.talk.silence(self.wire.paused, self.wire.full)
        LOOP.elapse(4 * PATIENCE)
        self.settle()
        assert self.wire.lost == self.talk.closed

    # -------------------------------------------------------------------- the applications

    def choose(self, n: int) -> Pair | None:
        return self.pairs[-1 - n % min(4, len(self.pairs))] if self.pairs else None

    def start(
        self, pair: Pair, how: str, size: int, keep: bool = False, hold: bool = False
    ) -> None:
        if pair.reading or not (pair.call.idle or pair.ended):
            return
        pair.begin(how, size)
        pair.give(LOOP, pair.order(how, size, keep, hold, self.kept))
        LOOP.settle()
        if pair.result is PENDING:
            self.talk.wait(pair.called)
        self.settle()

    @precondition(lambda self: self.pairs)
    @rule(
        n=WHICH,
        how=st.sampled_from(("read", "rest", "into")),
        size=st.integers(1, 40),
    )
    def read(self, n: int, how: str, size: int) -> None:
        if pair := self.choose(n):
            self.start(pair, how, size)

    @precondition(lambda self: self.pairs)
    @rule(n=WHICH, keep=st.booleans(), hold=st.booleans())
    def view(self, n: int, keep: bool, hold: bool) -> None:
        if pair := self.choose(n):
            self.viewed += keep or hold
            self.start(pair, "view", -1, keep, hold)

    @precondition(lambda self: any(pair.iterator for pair in self.pairs))
    @rule()
    def end_views(self) -> None:
        for pair in self.pairs:
            pair.end_view()
        self.settle()

    @precondition(lambda self: self.pairs)
    @rule(n=WHICH, twice=st.booleans())
    def close(self, n: int, twice: bool) -> None:
        if pair := self.choose(n):
            self.body(pair).close()
            if twice:
                self.body(pair).close()
            pair.closing = pair.closing or (pair.iterator is not None and pair.called.shut < 0)
            pair.called.close()
            self.settle()

    @precondition(lambda self: self.pairs)
    @rule(n=WHICH, answer=st.booleans())
    def detach(self, n: int, answer: bool) -> None:
        """Keep the body, and perhaps answer at once: that is what it is kept for."""
        pair = self.choose(n)
        assert pair is not None
        body = self.body(pair)
        if pair.called.shut >= 0:
            with pytest.raises(BodyClosedError):
                body.detach()
        else:
            body.detach()
            pair.called.detached = True
            SEEN.add("detached")
        self.settle()
        if answer and pair.call.idle and not pair.call.streaming:
            self.answer(pair, content(5, 0))

    def body(self, pair: Pair) -> BodyReader:
        pair.touched = True
        return pair.call.request.body

    @precondition(
        lambda self: any(pair.call.idle and not pair.call.streaming for pair in self.pairs)
    )
    @rule(size=st.sampled_from((0, 5, 70)), early=EARLY)
    def respond(self, size: int, early: bool) -> None:
        pair = next(p for p in self.pairs[::-1] if p.call.idle and not p.call.streaming)
        if not early and self.unfinished(pair):
            return
        self.answer(pair, content(size, 0))

    def answer(self, pair: Pair, body: bytes) -> None:
        pair.call.tell(Response(body))
        self.happen()
        self.talk.respond(pair.called, body)
        self.over(pair)

    @precondition(
        lambda self: any(pair.call.idle and not pair.call.streaming for pair in self.pairs)
    )
    @rule()
    def start_response(self) -> None:
        pair = next(p for p in self.pairs[::-1] if p.call.idle and not p.call.streaming)
        pair.call.tell(None)
        if self.talk.answering is not pair.called:
            self.over(pair)
        self.talk.start(pair.called)
        self.settle()

    @precondition(lambda self: any(pair.call.idle and pair.call.streaming for pair in self.pairs))
    @rule(size=st.sampled_from((5, 70)))
    def send_piece(self, size: int) -> None:
        pair = next(p for p in self.pairs[::-1] if p.call.idle and p.call.streaming)
        body = content(size, 0)
        pair.call.tell(body)
        if self.talk.answering is not pair.called:
            self.talk.leave(pair.called)
            self.over(pair)
        self.talk.send(pair.called, body)
        self.settle()

    @precondition(lambda self: any(pair.call.idle and pair.call.streaming for pair in self.pairs))
    @rule(early=EARLY)
    def end_response(self, early: bool) -> None:
        pair = next(p for p in self.pairs[::-1] if p.call.idle and p.call.streaming)
        if not early and self.unfinished(pair):
            return
        pair.call.tell(None)
        self.happen()
        self.talk.finish(pair.called)
        self.over(pair)

    def crash(self) -> None:
        pair = next((p for p in self.pairs[::-1] if p.call.idle), None)
        if pair is not None:
            pair.call.tell(RuntimeError("as told"))
            self.happen()
            self.talk.crash(pair.called)
            self.over(pair)

    @precondition(lambda self: self.age > LONG and not self.wire.lost)
    @rule(what=st.sampled_from(("end", "lose", "silence", "crash", "end")))
    def trouble_comes(self, what: str) -> None:
        # Not too often, since little of interest comes after it.
        self.age = LONG // 2
        getattr(self, what)()

    def unfinished(self, pair: Pair) -> bool:
        """There is or will be something to read."""
        called = pair.called
        return bool(called.shut < 0 and (called.unread or not called.message.complete))

    def over(self, pair: Pair) -> None:
        """Its handler has come to its end."""
        pair.end(LOOP)
        self.settle()

    def teardown(self) -> None:
        budget.count("connection")
        self.read_again()
        if not self.wire.lost:
            self.lose()
        for pair in self.pairs:
            pair.iterator = None
            self.body(pair).close()
        # Who waited for a body is idle only now.
        LOOP.settle()
        for pair in self.pairs:
            if pair.call.idle:
                pair.call.tell(RuntimeError("the end"))
        LOOP.settle()
        assert asyncio.all_tasks(LOOP) == set(), "somebody waits for ever"
        self.kept.clear()
        self.hub.stop()
        assert not self.hub.connections
        assert not self.hub.running
        self.hub.pool.assert_balanced()
        assert self.trouble == []


TestConnectionBesideReference = ConnectionBesideReference.TestCase
TestConnectionBesideReference.settings = budget.within(600, 40)


@pytest.fixture(scope="module", autouse=True)
def surroundings(told: list[str]) -> Iterator[None]:
    """Bodies of a few bytes take every way; and at the end what was covered is told."""
    logging.getLogger("nbio").setLevel(logging.CRITICAL + 1)
    with mock.patch.object(protocol, "DIRECT", 12), mock.patch.object(http1, "SMALL", 20):
        yield
    logging.getLogger("nbio").setLevel(logging.NOTSET)
    share = WATCH.share(HIGH, LOW)
    missed = sorted(EXPECTED - SEEN)
    told.append(
        f"stateful test of the connection, {budget.BEGUN['connection']} examples: {share}; "
        f"{len(EXPECTED & SEEN)} of {len(EXPECTED)} kinds of outcome"
        + (f"; not seen: {', '.join(missed)}" if missed else "")
    )
    budget.demand(share, 45, 95)
