"""What must come of one connection, given its bytes as they arrived and what applications did.

No buffers, blocks, tasks or clocks: the bytes so far, read by `reference.py`; the handlers that
must have been called; the replies that must have been sent, in order; whether it must be over.
"""

from dataclasses import dataclass
from typing import Final

from tests.machines.reference import Message, Reply, read_message

MAX_DRAIN: Final = 48
"""As the machines configure it."""

GONE: Final = "gone"
MALFORMED: Final = "malformed"
TOO_LARGE: Final = "too large"


@dataclass
class Called:
    """A request whose handler must have been called, and what came of its body.

    `taken`: bytes that the application has. `shut`: how much had arrived when the body was closed,
    -1 while it is open. `cut`: why the body's rest won't come.
    """

    message: Message
    taken: int = 0
    shut: int = -1
    detached: bool = False
    cut: str = ""
    expects: bool = False
    reply: Reply | None = None
    streamed: bool = False
    over: bool = False
    deaf: bool = False
    """Nothing can be sent to its client any more."""

    @property
    def unread(self) -> bytes:
        return self.message.body[self.taken :]

    @property
    def settled(self) -> bool:
        """A reading has something to say: bytes, the end, or an error."""
        return bool(self.unread) or self.message.complete or bool(self.cut) or self.shut >= 0

    @property
    def detached_open(self) -> bool:
        """It is kept past its request."""
        return self.detached and self.shut < 0

    def close(self) -> None:
        if self.shut < 0:
            self.shut = len(self.message.body)


class Conversation:
    """The reference."""

    def __init__(self) -> None:
        self.data = b""
        self.at = 0
        self.eof = False
        self.full = False
        """The client doesn't read: its next request has to wait."""
        self.calls: list[Called] = []
        self.replies: list[Reply] = []
        self.now: Called | None = None
        """The message under way: being answered, or its rest being taken in."""
        self.last = False
        """It is over when the detached body of its last request is in."""
        self.closed = False
        """Nothing more is answered or taken in."""
        self.clean = False
        """And the client can't be sending still, so nothing need be waited for."""
        self.reset = False
        """And the client must be told that a response isn't whole."""

    @property
    def answering(self) -> Called | None:
        """The request whose response isn't complete."""
        return self.now if self.now is not None and not self.now.over else None

    # What arrives.

    def receive(self, data: bytes) -> None:
        if self.closed:
            return
        self.data += data
        self.look()
        now = self.now
        # Nobody wants this body, and a little of it would have been taken in for the connection.
        if now is not None and now.over and now.shut >= 0:
            dropped = len(now.message.body) - now.shut
            if not now.message.complete and dropped > MAX_DRAIN:
                self.close()

    def end(self) -> None:
        """The client sends no more."""
        self.eof = True
        if self.closed:
            self.clean = True
            return
        if self.now is not None and not self.now.message.complete:
            self.spoil(400, GONE)
        self.look()

    def lose(self) -> None:
        """The connection is gone."""
        for called in self.calls:
            self.cut(called, GONE)
            called.deaf = called.deaf or not called.over
        self.closed = self.clean = True
        self.now = None

    def look(self) -> None:
        """Take in what there is."""
        while not self.closed:
            message = read_message(self.data, self.at)
            if self.now is None:
                if self.full and len(self.data) > self.at:
                    return
                if message.refused or message.bad:
                    self.refuse(message.refused or message.bad, message)
                elif message.head:
                    self.now = Called(message, expects=message.expects and not message.complete)
                    self.calls.append(self.now)
                elif self.eof:
                    self.close(clean=True)
                    return
                else:
                    return
                continue
            self.now.message = message
            if message.bad:
                self.spoil(message.bad, TOO_LARGE if message.bad == 413 else MALFORMED)
                return
            if not message.complete:
                return
            self.now.expects = False
            if not self.now.over:
                return
            if self.last:
                self.close(clean=self.quiet)
                return
            self.at, self.now = message.end, None

    def silence(self, paused: bool, full: bool) -> None:
        """Nothing comes and nothing is done for longer than anything is waited for.

        `paused`: because the server doesn't read. `full`: nor does the client.
        """
        now = self.now
        if not self.closed and full:
            self.reset = True
            self.close()
        elif not self.closed and now is None:
            if len(self.data) > self.at:
                self.refuse(408, read_message(self.data, self.at))
            else:
                self.close(clean=True)
        elif not self.closed and now is not None and not now.message.complete:
            # A handler may take its time; a detached body may have been forgotten.
            slow = now.over or not (paused or now.expects)
            if slow:
                self.spoil(408, GONE)
        if self.closed:
            self.lose()

    # How it ends.

    def refuse(self, status: int, message: Message | None = None, clean: bool = False) -> None:
        headless = message is not None and message.method == b"HEAD"
        self.replies.append(Reply(status, close=True, headless=headless))
        self.close(clean)

    def spoil(self, status: int, why: str) -> None:
        """The body's rest won't come, or won't be taken."""
        called = self.now
        assert called is not None
        self.cut(called, why)
        called.deaf = True
        if called.over:
            self.close()
        elif called.reply is not None:
            self.reset = True
            self.close()
        else:
            self.refuse(status, called.message)

    def cut(self, called: Called, why: str) -> None:
        if called.shut < 0 and not called.message.complete and not called.cut:
            called.cut = why

    def close(self, clean: bool = False) -> None:
        self.closed = True
        self.clean = clean or self.eof
        if self.now is not None:
            self.now.deaf = self.now.deaf or not self.now.over
        self.now = None

    @property
    def quiet(self) -> bool:
        """All that the client sent was looked at."""
        return self.now is not None and self.now.message.end == len(self.data)

    # What applications do.

    def wait(self, called: Called) -> None:
        """It waits for the body: a client that waits to be asked for it is asked."""
        if called.expects and called is self.answering and called.reply is None:
            self.replies.append(Reply(100))
        called.expects = False

    def respond(self, called: Called, body: bytes) -> None:
        """It gives a whole response."""
        message = called.message
        if called is not self.answering:
            self.leave(called)
            return
        keep = message.keep and not called.expects
        keep = keep and (called.detached_open or message.missing <= MAX_DRAIN)
        self.begin(called, keep)
        self.send(called, body)
        self.finish(called)

    def begin(self, called: Called, keep: bool) -> None:
        message = called.message
        headless = message.method == b"HEAD"
        called.reply = Reply(200, whole=headless, close=not keep, headless=headless)
        self.replies.append(called.reply)

    def start(self, called: Called) -> None:
        """It begins to stream a response."""
        if called is not self.answering:
            self.leave(called)
            return
        called.streamed = True
        keep = called.message.keep and not called.expects
        # An end that only closing tells, where there is something to end.
        ended = called.message.version == b"1.1" or called.message.method == b"HEAD"
        self.begin(called, keep and ended)

    def send(self, called: Called, body: bytes) -> None:
        if called.reply is not None and not called.reply.headless and not called.deaf:
            called.reply.body += body

    def finish(self, called: Called) -> None:
        """Its response is complete."""
        if called is not self.answering:
            self.leave(called)
            return
        message, reply = called.message, called.reply
        assert reply is not None
        reply.whole = called.over = True
        self.leave(called)
        # Its client reads on, and knows where the response ended.
        told = message.version == b"1.1" or message.method == b"HEAD" or not called.streamed
        incoming = called.detached_open and not message.complete and not called.expects
        if reply.close and incoming and told:
            self.last = True
        elif reply.close or (not called.detached_open and message.missing > MAX_DRAIN):
            self.close(clean=self.quiet)
        elif message.complete:
            self.look()

    def crash(self, called: Called) -> None:
        """It raises."""
        if called is self.answering:
            if called.reply is None:
                self.refuse(500, called.message, clean=self.quiet)
            else:
                self.reset = True
                self.cut(called, GONE)
                self.close()
        self.leave(called)

    def leave(self, called: Called) -> None:
        """Its handler is over: the body is closed, unless it was kept."""
        if not called.detached:
            called.close()
