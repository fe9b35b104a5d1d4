"""What arrives on one HTTP/1 connection, in order: heads, and the bytes of bodies.

No socket, no clock, no task. The protocol puts received bytes in, takes heads out, and lends a
sink (the pooled body) for the bytes between. One message at a time: what follows a message
stays pending until the server says `next_message`, so a pipelined request can't overtake.
"""

import re
from typing import Final

from nbio.blocks import SMALL
from nbio.chunked import DATA, DONE, ChunkedDecoder, Sink
from nbio.config import Config
from nbio.errors import Refusal
from nbio.heads import HeadParser, RequestHead

# Where the message is.
HEAD: Final = 0
LENGTH: Final = 1
CHUNKED: Final = 2
COMPLETE: Final = 3

EMPTY_LINES = 2
"""How many empty lines before a request line are skipped (RFC 9112, 2.2: at least one)."""

_END: Final = b"\r\n\r\n"
# In an unfinished head: a line end that isn't CR LF. It can only become worse, and waiting for
# an end that never comes would leave the answer to a timeout.
_BARE: Final = re.compile(rb"(?<!\r)\n|\r(?=[^\n])|\x00")


class Receiver:
    """The receiving half of a connection."""

    __slots__ = (
        "_config",
        "_heads",
        "_searched",
        "_sink",
        "_skipped",
        "decoder",
        "pending",
        "remaining",
        "state",
    )

    def __init__(self, config: Config, heads: HeadParser) -> None:
        self._config = config
        self._heads = heads
        self.state: int = HEAD
        # Bytes received and not yet looked at: a head's beginning, or later messages.
        self.pending = b""
        self._searched = 0
        # Empty lines before this request line.
        self._skipped = 0
        # Of a body with Content-Length: bytes still to come.
        self.remaining = 0
        self.decoder: ChunkedDecoder | None = None
        self._sink: Sink | None = None

    def receive(self, data: bytes | bytearray, end: int) -> bool:
        """Take `data[:end]`; return whether reading should pause, for a body that is full.

        Raises Refusal when a body isn't HTTP or too long, and whatever the sink raises.
        """
        if self.state == LENGTH:
            return self._receive_length(data, end)
        if self.state == CHUNKED:
            return self._receive_chunked(data, end)
        # Of a view, since a slice of a bytearray would be one more copy.
        self.keep(memoryview(data)[:end].tobytes())
        return False

    def keep(self, part: bytes) -> None:
        """Take bytes of a head, or of messages behind this one."""
        self.pending = self.pending + part if self.pending else part

    def next_head(self) -> RequestHead | None:
        """The next head, if all of it has arrived. The state is HEAD.

        Raises Refusal for a head that isn't served, as early as that can be told.
        """
        pending = self.pending
        if pending[:1] == b"\r":
            pending = self._skip_empty_lines(pending)
        end = pending.find(_END, self._searched)
        if end < 0:
            self._check_unfinished(pending)
            return None
        end += 4
        if end > self._config.max_head:
            self._too_long(pending)
        self._searched = 0
        if end == len(pending):
            self.pending = b""
        else:
            self.pending = pending[end:]
            pending = pending[:end]
        try:
            head = self._heads.parse(pending)
        except Refusal as error:
            error.of_head = pending.startswith(b"HEAD ")
            raise
        if head.length:
            self.state = LENGTH
            self.remaining = head.length
        elif head.chunked:
            self.state = CHUNKED
            self._begin_chunked(head)
        else:
            self.state = COMPLETE
        return head

    def start_body(self, sink: Sink) -> bool:
        """The body's bytes go to `sink` from here on; returns and raises as `receive`."""
        self._sink = sink
        pending, self.pending = self.pending, b""
        return self.receive(pending, len(pending)) if pending else False

    def _begin_chunked(self, head: RequestHead) -> None:
        config = self._config
        self.decoder = decoder = ChunkedDecoder(
            max_body=config.max_body,
            max_line=config.max_chunk_line,
            max_extensions=config.max_chunk_extensions,
            max_trailers=config.max_trailers,
            max_fields=config.max_headers,
        )
        head.trailers = decoder.trailers

    @property
    def begun(self) -> bool:
        """Whether anything of the next request has arrived, be it an empty line. At a head."""
        return bool(self.pending) or self._skipped > 0

    def next_message(self) -> None:
        """The exchange is over: look at what follows. The state is COMPLETE."""
        assert self.state == COMPLETE, "the message before isn't complete"
        self.state = HEAD
        self._skipped = 0
        self.decoder = None
        self._sink = None

    @property
    def direct(self) -> int:
        """How many bytes the kernel may write straight into a block; more would be a mix-up."""
        if self.state == LENGTH:
            return self.remaining
        if self.decoder is not None and self.decoder.state == DATA:
            return self.decoder.remaining
        return 0

    def filled(self, block: bytearray, n: int) -> tuple[bytearray | None, bool]:
        """The kernel wrote `n` bytes of body, at most `direct`, into a block.

        Returns (the block unless the sink keeps it, whether reading should pause).
        """
        sink = self._sink
        assert sink is not None, "a body has its sink from the start"
        answer = sink.feed_block(block, n)
        if self.state == LENGTH:
            self.remaining -= n
            if not self.remaining:
                self.state = COMPLETE
                sink.finish()
        elif self.decoder is not None:
            self.decoder.took(n)
        return answer

    def _receive_length(self, data: bytes | bytearray, end: int) -> bool:
        sink = self._sink
        assert sink is not None, "a body has its sink from the start"
        take = min(end, self.remaining)
        # Of a view, whose slices are no copies; but for a few bytes one would cost more.
        whole = take == len(data) <= SMALL
        pause = sink.feed(data if whole else memoryview(data)[:take])
        self.remaining -= take
        if not self.remaining:
            self.state = COMPLETE
            sink.finish()
            if take < end:
                self.pending = memoryview(data)[take:end].tobytes()
        return pause

    def _receive_chunked(self, data: bytes | bytearray, end: int) -> bool:
        sink, decoder = self._sink, self.decoder
        assert sink is not None, "a body has its sink from the start"
        assert decoder is not None, "a chunked body has its decoder from the start"
        stop, pause = decoder.decode(data, 0, end, sink)
        if decoder.state == DONE:
            self.state = COMPLETE
            if stop < end:
                self.pending = bytes(data[stop:end])
        return pause

    def _skip_empty_lines(self, pending: bytes) -> bytes:
        while pending[:2] == b"\r\n" and self._skipped < EMPTY_LINES:
            self._skipped += 1
            pending = pending[2:]
        self.pending = pending
        if pending[:2] == b"\r\n":
            raise Refusal(400, f"more than {EMPTY_LINES} empty lines before a request line")
        return pending

    def _check_unfinished(self, pending: bytes) -> None:
        if _BARE.search(pending, max(0, self._searched - 1)):
            raise Refusal(400, "a line of the head doesn't end in CR LF")
        # Three bytes of the end may be here already.
        self._searched = max(0, len(pending) - 3)
        if len(pending) > self._config.max_head:
            self._too_long(pending)
        longest = self._config.max_request_line
        if len(pending) > longest + 2 and pending.find(b"\r\n", 0, longest + 2) < 0:
            raise Refusal(414, "the request line is too long")

    def _too_long(self, pending: bytes) -> None:
        if not 0 <= pending.find(b"\r\n") <= self._config.max_request_line:
            raise Refusal(414, "the request line is too long")
        raise Refusal(431, f"the head is longer than {self._config.max_head} bytes")
