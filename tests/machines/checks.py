"""What must be so after each step of a connection beside its reference, and of each reading."""

from hypothesis.stateful import RuleBasedStateMachine, invariant

from nbio.errors import (
    BodyClosedError,
    BodyDisconnected,
    BodyProtocolError,
    BodyTooLarge,
    ConcurrentReadError,
)
from nbio.hub import Hub
from tests.machines.conversation import GONE, MALFORMED, MAX_DRAIN, TOO_LARGE, Called, Conversation
from tests.machines.pairs import PENDING, Pair
from tests.machines.reference import read_replies
from tests.machines.stage import Call, Wire

BLOCK, HIGH, LOW = 16, 2, 1
PIPELINED = 64
SEEN: set[str] = set()
"""What happened in some run."""
ERRORS = {BodyTooLarge: TOO_LARGE, BodyProtocolError: MALFORMED, BodyDisconnected: GONE}


class Checks(RuleBasedStateMachine):
    """The machine's state, and what is demanded of it."""

    hub: Hub
    wire: Wire
    talk: Conversation
    called: list[Call]
    """Handlers that were called on this connection."""
    pairs: list[Pair]
    """All that were ever called."""
    kept: list[tuple[memoryview, bytes]]
    viewed: int
    """Views that were kept, or left open."""
    largest: int
    """Bytes that arrived at once."""

    @invariant()
    def all_is_as_it_must_be(self) -> None:
        self.handlers_are_called_for_whole_requests_in_turn()
        self.replies_are_sent_in_turn()
        self.the_connection_is_kept_or_closed()
        self.reading_pauses_for_a_reason()
        self.memory_is_bounded_and_the_books_are_right()
        self.kept_views_stay_as_they_were()

    def judge(self, pair: Pair) -> None:
        """A reading that came to its end; or one that waits, and must."""
        called, how, result = pair.called, pair.reading, pair.result
        if result is PENDING:
            if how == "rest" and called.shut < 0 and not called.cut:
                called.taken = len(called.message.body)
            assert not called.settled, f"{how} of {called} isn't woken"
            return
        pair.reading = ""
        held = pair.iterator is not None and how != "view"
        if isinstance(result, Exception):
            told = self.error(called, held)
            assert (type(result), called.shut >= 0) in told, f"{how}: {result!r}, {called}"
            SEEN.add(f"{how} {told[type(result), called.shut >= 0]}")
            return
        assert isinstance(result, bytes)
        assert called.shut < 0, f"{how}: {result!r} of a closed body"
        assert not called.cut, f"{how}: {result!r} of a body that was cut off"
        body = called.message.body
        if how == "rest":
            assert called.message.complete, "the rest of a body that isn't there"
            assert result == body[pair.since :]
        else:
            assert pair.size < 0 or len(result) <= pair.size
            assert body.startswith(result, pair.since)
            assert result or (called.message.complete and not called.unread), "no end yet"
        called.taken = pair.since + len(result)
        SEEN.add(f"{how} {'bytes' if result else 'end'}")

    def error(self, called: Called, held: bool) -> dict[tuple[type[Exception], bool], str]:
        """The error that a reading must end in, by its type."""
        if called.shut >= 0:
            return {(BodyClosedError, True): "closed"}
        if held:
            return {(ConcurrentReadError, False): "busy"}
        return {(kind, False): why for kind, why in ERRORS.items() if why == called.cut}

    def handlers_are_called_for_whole_requests_in_turn(self) -> None:
        targets = [called.message.target for called in self.talk.calls]
        assert [call.target for call in self.called] == targets
        for call, called in zip(self.called, self.talk.calls, strict=True):
            trailers = [(k.encode(), v.encode()) for k, v in call.request.trailers.items()]
            assert trailers == (called.message.trailers if called.message.complete else [])

    def replies_are_sent_in_turn(self) -> None:
        found = read_replies(self.wire.out, self.talk.replies, self.wire.finished)
        for reply in found:
            SEEN.add(f"answered {reply.status}")
            if reply.status >= 400:
                reply.body = b""
        assert found == self.talk.replies

    def the_connection_is_kept_or_closed(self) -> None:
        wire, talk = self.wire, self.talk
        over = wire.closing or wire.halved
        assert over == talk.closed, "closed" if over else "not closed"
        assert wire.lost or not talk.reset, "a response that isn't whole must be cut off"
        if talk.closed and not talk.reset:
            assert wire.closing or not talk.clean, "nothing is waited for"
            assert talk.clean or wire.lost or not wire.closing, "a reply may be lost by a reset"
        SEEN.add("reset" if talk.reset else "half-closed" if wire.halved else
                 "closed" if over else "kept")  # fmt: skip
        if wire.full:
            SEEN.add("full")

    def reading_pauses_for_a_reason(self) -> None:
        wire, talk, now = self.wire, self.talk, self.talk.now
        if wire.paused:
            SEEN.add("pause")
        if wire.halved and not wire.closing:
            assert not wire.paused or wire.late > 4 * MAX_DRAIN, "it can't see its client's end"
        if talk.closed or talk.eof:
            return
        if now is None:
            later = len(talk.data) - talk.at
            assert not wire.paused or (talk.full and later), "paused, and nothing is under way"
            assert not talk.full or later <= PIPELINED + 2 * self.largest
            return
        viewed = any(p.called is now and p.iterator for p in self.pairs)
        unread = 0 if now.shut >= 0 else len(now.unread)
        later = len(talk.data) - now.message.end if now.message.complete else 0
        assert later <= PIPELINED + 2 * self.largest, "more requests were taken in than may wait"
        if unread > (HIGH - 1) * BLOCK and not now.message.complete:
            assert wire.paused, f"{unread} bytes wait, and still it reads"
        # What waited behind the message before keeps it paused until this one is answered.
        crowded = now.message.complete and len(talk.data) - talk.at > PIPELINED
        if not unread and not viewed and not crowded:
            assert not wire.paused, "paused for ever"

    def memory_is_bounded_and_the_books_are_right(self) -> None:
        stats = self.hub.pool.stats()
        out = sum(pair.out for pair in self.pairs)
        assert stats.outstanding == out, f"{stats.outstanding} bodies are out, not {out}"
        most = out * (HIGH + 1 + -(-self.largest // BLOCK)) + 1
        assert self.wire.unsent <= 1000, "a client that doesn't read is answered for ever"
        assert 0 <= stats.blocks.outstanding <= most + 3
        assert stats.acquired == stats.released + stats.outstanding
        assert stats.blocks.given_up <= self.viewed
        assert stats.leaks == 0

    def kept_views_stay_as_they_were(self) -> None:
        for view, copy in self.kept:
            assert bytes(view) == copy, "a kept view shows other bytes"
        if self.kept:
            SEEN.add("kept view")
