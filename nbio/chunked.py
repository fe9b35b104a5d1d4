"""The chunked transfer coding of request bodies (RFC 9112, section 7.1): our own decoder.

llhttp hands out a copy of every piece and can't be paused; this one hands out views of the
receive buffer, and says how many bytes of a chunk are still to come, so that the kernel can
write them straight into a pooled block.
"""

import re
from typing import Final, Protocol

from nbio.errors import Refusal
from nbio.heads import TOKEN


class Sink(Protocol):
    """Where a body's bytes go: a BodyReader, or a test's list."""

    def feed(self, data: bytes | bytearray | memoryview) -> bool:
        """Take a copy of `data`; return whether to pause."""

    def feed_block(self, block: bytearray, n: int) -> tuple[bytearray | None, bool]:
        """Take the block whose first `n` bytes were received, or give it back."""

    def finish(self) -> None:
        """The body is complete."""


# Where the decoder is.
SIZE: Final = 0
DATA: Final = 1
DATA_END: Final = 2
TRAILERS: Final = 3
DONE: Final = 4

LF: Final = 10

_QUOTED: Final = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"'
_EXTENSION: Final = (
    rb"[ \t]*;[ \t]*" + TOKEN + rb"(?:[ \t]*=[ \t]*(?:" + TOKEN + rb"|" + _QUOTED + rb"))?"
)
# Sixteen digits are as many as 64 bits have; the zeros before them are HTTP, if a strange one.
_SIZE: Final = re.compile(rb"0*+([0-9A-Fa-f]{0,16})(?<=[0-9A-Fa-f])((?:" + _EXTENSION + rb")*)")
# Possessive, since a value may begin with what stands before it: a long line of spaces that ends
# badly would be tried at each of them.
_FIELD: Final = re.compile(rb"(" + TOKEN + rb"):[ \t]*+([^\x00-\x08\x0a-\x1f\x7f]*)")


FORBIDDEN: Final = frozenset(
    b"""
    age authorization cache-control connection content-encoding content-length content-range
    content-type cookie date expect expires forwarded host if-match if-modified-since if-none-match
    if-range if-unmodified-since keep-alive location max-forwards pragma proxy-authenticate
    proxy-authorization proxy-connection range retry-after set-cookie te trailer transfer-encoding
    upgrade vary warning www-authenticate
    x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-prefix x-forwarded-proto x-real-ip
    """.split()
)
"""Fields that mean something only before the body: framing, routing, conditions, credentials,
control of the response, what the content is (RFC 9110, 6.5.1). As trailers they are dropped, so
that nobody can believe them."""


class ChunkedDecoder:
    """Decodes one body.

    `max_body` bounds the decoded bytes (0: no bound), `max_line` a size line with its
    extensions, `max_extensions` all extensions of the body together, `max_trailers` the
    trailer section, all in bytes; `max_fields` the number of trailer fields.
    """

    __slots__ = (
        "_extensions",
        "_fields",
        "_line",
        "_max_body",
        "_max_extensions",
        "_max_fields",
        "_max_line",
        "_max_trailers",
        "_section",
        "received",
        "remaining",
        "state",
        "trailers",
    )

    def __init__(
        self,
        *,
        max_body: int,
        max_line: int = 4096,
        max_extensions: int = 16384,
        max_trailers: int = 16384,
        max_fields: int = 100,
    ) -> None:
        self.state: int = SIZE
        # Bytes of the current chunk that are still to come.
        self.remaining = 0
        self.received = 0
        # Filled when the body is complete, so that nobody sees half of them.
        self.trailers: list[tuple[bytes, bytes]] = []
        self._fields: list[tuple[bytes, bytes]] = []
        self._line = b""
        self._extensions = 0
        self._section = 0
        self._max_body = max_body
        self._max_line = max_line
        self._max_extensions = max_extensions
        self._max_trailers = max_trailers
        self._max_fields = max_fields

    def decode(self, data: bytes | bytearray, start: int, end: int, sink: Sink) -> tuple[int, bool]:
        """Decode `data[start:end]` into the sink; return (where it stopped, whether to pause).

        It stops before `end` only when the body is complete (`state` is DONE).
        Raises Refusal 400 for bytes that aren't the coding, 413 above the limit.
        """
        pause = False
        with memoryview(data) as view:
            while start < end and self.state != DONE:
                if self.state == DATA:
                    stop = min(end, start + self.remaining)
                    with view[start:stop] as piece:
                        pause = sink.feed(piece)
                    self.took(stop - start)
                    start = stop
                else:
                    start = self._line_step(data, start, end)
        if self.state == DONE:
            sink.finish()
        return start, pause

    def took(self, n: int) -> None:
        """`n` bytes of the current chunk went to the sink."""
        self.remaining -= n
        if not self.remaining:
            self.state = DATA_END

    def _line_step(self, data: bytes | bytearray, start: int, end: int) -> int:
        """Take a line, or as much of it as there is."""
        if self._line.endswith(b"\r") and data[start] == LF:
            # The line's end was cut in two.
            line, after = self._line[:-1], start + 1
        else:
            at = data.find(b"\r\n", start, end)
            if at < 0:
                self._keep(bytes(data[start:end]))
                return end
            line, after = self._line + bytes(data[start:at]), at + 2
        self._line = b""
        if self.state == DATA_END:
            if line:
                raise Refusal(400, "a chunk is longer than its size")
            self.state = SIZE
        elif self.state == SIZE:
            self._size(line)
        else:
            self._trailer(line)
        return after

    def _keep(self, part: bytes) -> None:
        """Keep an unfinished line, unless it can't become a good one."""
        line = self._line + part
        whole = line[:-1] if line.endswith(b"\r") else line
        if b"\n" in whole or b"\r" in whole or (self.state == DATA_END and whole):
            raise Refusal(400, "a line of the chunked coding doesn't end in CR LF")
        self._bound(len(line))
        self._line = line

    def _bound(self, size: int) -> None:
        """Refuse a line of `size` bytes that is over its limit."""
        if self.state == TRAILERS:
            if self._section + size > self._max_trailers:
                raise Refusal(431, f"the trailers are longer than {self._max_trailers} bytes")
        elif size > self._max_line:
            raise Refusal(400, f"a chunk's size line is longer than {self._max_line} bytes")

    def _size(self, line: bytes) -> None:
        self._bound(len(line))
        match = _SIZE.fullmatch(line)
        if match is None:
            raise Refusal(400, "malformed chunk size")
        self._extensions += len(match[2])
        if self._extensions > self._max_extensions:
            raise Refusal(400, f"more than {self._max_extensions} bytes of chunk extensions")
        size = int(match[1] or b"0", 16)
        self.received += size
        if self._max_body and self.received > self._max_body:
            raise Refusal(413, f"the body is longer than {self._max_body} bytes")
        self.remaining = size
        self.state = DATA if size else TRAILERS

    def _trailer(self, line: bytes) -> None:
        if not line:
            self.trailers += [field for field in self._fields if field[0] not in FORBIDDEN]
            self.state = DONE
            return
        self._bound(len(line))
        self._section += len(line) + 2
        match = _FIELD.fullmatch(line)
        if match is None:
            raise Refusal(400, "malformed trailer field")
        if len(self._fields) == self._max_fields:
            raise Refusal(431, f"more than {self._max_fields} trailer fields")
        self._fields.append((match[1].lower(), match[2].rstrip(b" \t")))
