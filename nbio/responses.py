"""Response heads and framing: values in, bytes out (RFC 9112, sections 6 and 7)."""

import re
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Final, TypeAlias

from nbio.chunked import FORBIDDEN
from nbio.errors import ResponseError
from nbio.heads import TOKEN, RequestHead, options

RawHeaders: TypeAlias = Iterable[tuple[bytes, bytes]]
Pairs: TypeAlias = Iterable[Sequence[bytes]]
"""The same, of pairs that may be lists, as ASGI allows. To a compiler a tuple is one."""

# How the end of a response's body is told.
NONE: Final = 0
"""There is no body: HEAD, 204, 205, 304."""
LENGTH: Final = 1
CHUNKED: Final = 2
CLOSE: Final = 3
"""By closing the connection, for HTTP/1.0 clients."""


STATUS_LINES: Final[dict[int, bytes]] = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode()
    for status in HTTPStatus
    if status >= 200
}

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK: Final = b"0\r\n\r\n"

# Fields that the server sees to itself, or must know about.
_OURS: Final = frozenset(
    [
        b"content-length",
        b"transfer-encoding",
        b"connection",
        b"keep-alive",
        b"upgrade",
        b"date",
        b"server",
    ]
)
# Of these the application's value is sent; the server's, where it has one, gives way.
_THEIRS: Final = frozenset([b"upgrade", b"date", b"server"])
_NAME: Final = re.compile(TOKEN)
# What no field value holds (RFC 9110, 5.5), given that the lines of the head end in CR LF.
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_KNOWN_NAMES = 1024
_plain: set[bytes] = set()


def status_line(status: int) -> bytes:
    """The line of a status without a name. Raises ResponseError unless it is a final status."""
    if not 200 <= status <= 999:
        raise ResponseError(f"a response has a status between 200 and 999, not {status!r}")
    return b"HTTP/1.1 %d \r\n" % status


def check_name(name: bytes) -> bytes:
    """Return the name in lower case. Remembers the ones of no meaning here, within bounds.

    Raises ResponseError unless this is a field name.
    """
    if _NAME.fullmatch(name) is None:
        raise ResponseError(f"a field name is a token, not {name!r}")
    lower = name.lower()
    if lower not in _OURS:
        if len(_plain) >= _KNOWN_NAMES:
            _plain.clear()
        _plain.add(name)
    return lower


class Encoded:
    """A status line and fields as bytes, and what they say about the framing."""

    __slots__ = ("always", "block", "close", "declared", "lead", "overrides", "plain")

    def __init__(
        self, status: int, block: bytes, declared: int, close: bool, overrides: tuple[bytes, ...]
    ) -> None:
        self.block = block
        # The application's Content-Length, or -1.
        self.declared = declared
        # Whether it asked for the connection to be closed.
        self.close = close
        # Which of the server's own fields it replaces.
        self.overrides = overrides
        # Whether nothing but the body's length is left to be said.
        self.plain = not close and not overrides and status not in (204, 205, 304)
        # The block with the common fields of this second, up to the body's length.
        self.always = b""
        self.lead = b""

    def opening(self, always: bytes) -> bytes:
        """The head of a plain response, up to the number of its body's bytes."""
        if self.always is not always:
            self.always = always
            self.lead = b"%b%bcontent-length: " % (self.block, always)
        return self.lead


_KNOWN_HEADS = 512
_KNOWN_SIZE = 1024
_encoded: dict[tuple[int, tuple[Sequence[bytes], ...]], Encoded] = {}


def encode_fields(status: int, headers: Pairs) -> Encoded:
    """Encode and check a status line and fields. Raises ResponseError."""
    parts = [STATUS_LINES.get(status) or status_line(status)]
    declared = -1
    close = told = False
    overrides: tuple[bytes, ...] = ()
    for name, value in headers:
        lower = name if name in _plain else check_name(name)
        if lower == b"content-length":
            declared = declared_length(value, declared)
        elif lower == b"connection":
            wishes = options([value])
            close = close or b"close" in wishes
            # Whether the connection goes on is the server's to tell.
            if others := [wish for wish in wishes if wish not in (b"close", b"keep-alive")]:
                parts.append(b"connection: %b\r\n" % b", ".join(others))
                told = told or b"upgrade" in others
        elif lower not in _OURS or lower in _THEIRS:
            parts.append(b"%b: %b\r\n" % (name, value))
            if lower in _THEIRS:
                overrides = (*overrides, lower)
    if b"upgrade" in overrides and not told:
        # Whoever sends the one sends the other (RFC 9110, 7.8).
        parts.append(b"connection: upgrade\r\n")
    block = b"".join(parts)
    count = len(parts)
    if block.count(b"\n") != count or block.count(b"\r") != count or _CONTROL.search(block):
        raise ResponseError("a field value with CR, LF, NUL or the like would split the response")
    return Encoded(status, block, declared, close, overrides)


def encoded(status: int, headers: Pairs) -> Encoded:
    """As encode_fields, which is asked once for what comes again and again."""
    fields = tuple(headers)
    key = (status, fields)
    try:
        known = _encoded.get(key)
    except TypeError:
        # Pairs that are lists can't be looked up.
        return encode_fields(status, fields)
    if known is None:
        known = encode_fields(status, fields)
        if len(_encoded) >= _KNOWN_HEADS:
            _encoded.clear()
        if len(known.block) <= _KNOWN_SIZE:
            _encoded[key] = known
    return known


STINT: Final = 1 << 20
"""After so many bytes of a stream that never waits others get a turn of the loop."""
PIECE: Final = 4096
"""The bytes whose sending costs what another piece costs, however small: about 3 microseconds."""


class Framing:
    """How one response is sent: decided with its head, obeyed by its body."""

    __slots__ = ("_stint", "keep_alive", "kind", "left")

    def __init__(self, keep_alive: bool) -> None:
        self.kind: int = NONE
        # Of a LENGTH body: bytes still to be sent.
        self.left = 0
        self.keep_alive = keep_alive
        # What was sent since others had a turn, in bytes.
        self._stint = 0

    def stint_over(self, size: int) -> bool:
        """Whether a stream should let others have a turn, after another piece of so many bytes.

        A client that reads as fast as the application sends never makes it wait.
        """
        self._stint += size + PIECE
        if self._stint < STINT:
            return False
        self._stint = 0
        return True

    def head(
        self, status: int, headers: RawHeaders, size: int, method: str, version: str, always: bytes
    ) -> bytes:
        """Encode the head, and decide the framing.

        `size` is the whole body's length, -1 while unknown; `always` the fields every response
        has (Date, Server). Raises ResponseError for what can't be sent.
        """
        known = encoded(status, headers)
        if known.close:
            self.keep_alive = False
        for name in known.overrides:
            always = without(always, name)
        framing = self._decide(status, known.declared, size, method, version)
        return b"%b%b%b\r\n" % (known.block, always, framing)

    def _decide(self, status: int, declared: int, size: int, method: str, version: str) -> bytes:
        """Choose the framing; return the fields that say so."""
        line = b""
        if status == 204 or status == 304 or method == "HEAD":
            # A HEAD or 304 may say how long the body would have been; 204 has no such thing.
            if status != 204:
                length = declared if declared >= 0 else size
                line = b"content-length: %d\r\n" % length if length > 0 or declared == 0 else b""
        elif status == 205:
            line = b"content-length: 0\r\n"
        elif declared >= 0 or size >= 0:
            self.kind = LENGTH
            self.left = declared if declared >= 0 else size
            line = b"content-length: %d\r\n" % self.left
        elif version == "1.1":
            self.kind = CHUNKED
            line = b"transfer-encoding: chunked\r\n"
        else:
            self.kind = CLOSE
            self.keep_alive = False
        if not self.keep_alive:
            return line + b"connection: close\r\n"
        return line if version == "1.1" else line + b"connection: keep-alive\r\n"

    def body(self, data: bytes, last: bool) -> bytes:
        """Frame a piece of the body.

        Raises ResponseError for more, or at the end less, than Content-Length said.
        """
        if self.kind == LENGTH:
            self.left -= len(data)
            if self.left < 0:
                raise ResponseError("the response's body is longer than its Content-Length")
            if last and self.left:
                raise ResponseError(f"the response's body is {self.left} bytes too short")
            return data
        if self.kind == CHUNKED:
            if not data:
                return LAST_CHUNK if last else b""
            end = b"\r\n0\r\n\r\n" if last else b"\r\n"
            return b"%x\r\n%b%b" % (len(data), data, end)
        return b"" if self.kind == NONE else data

    def end(self, trailers: RawHeaders) -> bytes:
        """What ends the body, with trailers where the framing has room for them.

        Raises ResponseError for what is no trailer, and as `body` for a body that is too short.
        """
        encoded = encode_trailers(trailers)
        if self.kind == CHUNKED:
            return b"0\r\n%b\r\n" % encoded
        return self.body(b"", True)


WHOLE: Final = Framing(True)
"""That of responses by `whole`; nothing changes it, since nothing follows."""
WHOLE.kind = LENGTH


def whole(status: int, headers: RawHeaders, data: bytes, always: bytes) -> bytes:
    """A whole response to an HTTP/1.1 request other than HEAD that leaves the connection open.

    What `Framing` would make of it, but at one go; b"" when it isn't that plain.
    """
    known = encoded(status, headers)
    size = len(data)
    if not known.plain or known.declared not in (-1, size):
        return b""
    return b"%b%d\r\n\r\n%b" % (known.opening(always), size, data)


def encode_trailers(trailers: Pairs) -> bytes:
    """Encode and check trailer fields. Raises ResponseError."""
    parts: list[bytes] = []
    for name, value in trailers:
        lower = check_name(name)
        if lower in FORBIDDEN:
            raise ResponseError(f"{lower.decode()} means nothing after the body: send it before")
        if b"\r" in value or b"\n" in value or _CONTROL.search(value):
            raise ResponseError("a trailer's value with CR, LF, NUL or the like would split it")
        parts.append(b"%b: %b\r\n" % (lower, value))
    return b"".join(parts)


def wants_trailers(head: RequestHead) -> bool:
    """Whether the client said that it takes trailers (`TE: trailers`; RFC 9110, 6.5.1)."""
    return b"trailers" in options([value for name, value in head.headers if name == b"te"])


def declared_length(value: bytes, before: int) -> int:
    """Parse the application's Content-Length; `before` is an earlier one, or -1."""
    if not value.isdigit() or len(value) > 18:
        raise ResponseError(f"Content-Length is a number, not {value!r}")
    length = int(value)
    if before not in (-1, length):
        raise ResponseError(f"Content-Length is given twice, as {before} and {length}")
    return length


def without(always: bytes, name: bytes) -> bytes:
    """The common fields, less the one that the application gave itself."""
    lines = always.split(b"\r\n")
    return b"\r\n".join(line for line in lines if not line.startswith(name + b":"))


def refusal(status: int, why: str, always: bytes, *, to_head: bool = False) -> bytes:
    """A complete response that refuses a request; the connection closes after it.

    One `to_head`, a HEAD, has no content.
    """
    body = f"{why}\n".encode()
    return (
        b"%b%bcontent-type: text/plain; charset=utf-8\r\n"
        b"content-length: %d\r\nconnection: close\r\n\r\n%b"
    ) % (STATUS_LINES[status], always, len(body), b"" if to_head else body)
