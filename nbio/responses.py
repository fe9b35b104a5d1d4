"""Response heads and framing: values in, bytes out (RFC 9112, sections 6 and 7)."""

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Final, TypeAlias

from nbio.errors import NbioError
from nbio.heads import TOKEN

RawHeaders: TypeAlias = Iterable[tuple[bytes, bytes]]

# How the end of a response's body is told.
NONE: Final = 0
"""There is no body: HEAD, 204, 205, 304."""
LENGTH: Final = 1
CHUNKED: Final = 2
CLOSE: Final = 3
"""By closing the connection, for HTTP/1.0 clients."""


class ResponseError(NbioError):
    """The application sent what can't be sent, or in an order that makes no response."""


STATUS_LINES: Final[dict[int, bytes]] = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK: Final = b"0\r\n\r\n"

# Fields that the server sees to itself, or must know about.
_OURS: Final = frozenset(
    [b"content-length", b"transfer-encoding", b"connection", b"keep-alive", b"date", b"server"]
)
_NAME: Final = re.compile(TOKEN)
_KNOWN_NAMES = 1024
_names: set[bytes] = set()


def status_line(status: int) -> bytes:
    """The status line. Raises ResponseError unless this is a final status."""
    line = STATUS_LINES.get(status)
    if not 200 <= status <= 999:
        raise ResponseError(f"a response has a status between 200 and 999, not {status!r}")
    return line if line is not None else b"HTTP/1.1 %d \r\n" % status


def check_name(name: bytes) -> None:
    """Raise ResponseError unless this is a field name. Remembers good ones, within bounds."""
    if _NAME.fullmatch(name) is None:
        raise ResponseError(f"a field name is a token, not {name!r}")
    if len(_names) >= _KNOWN_NAMES:
        _names.clear()
    _names.add(name)


class Framing:
    """How one response is sent: decided with its head, obeyed by its body."""

    __slots__ = ("keep_alive", "kind", "left")

    def __init__(self, keep_alive: bool) -> None:
        self.kind: int = NONE
        # Of a LENGTH body: bytes still to be sent.
        self.left = 0
        self.keep_alive = keep_alive

    def head(
        self, status: int, headers: RawHeaders, size: int, method: str, version: str, always: bytes
    ) -> bytes:
        """Encode the head, and decide the framing.

        `size` is the whole body's length, -1 while unknown; `always` the fields every response
        has (Date, Server). Raises ResponseError for what can't be sent.
        """
        parts = [status_line(status)]
        declared = -1
        count = 1
        for name, value in headers:
            if name not in _names:
                check_name(name)
            lower = name.lower()
            if lower in _OURS:
                if lower == b"content-length":
                    declared = declared_length(value, declared)
                    continue
                if lower == b"connection":
                    self.keep_alive = self.keep_alive and b"close" not in value.lower()
                    continue
                if lower != b"date" and lower != b"server":
                    continue
                always = without(always, lower)
            count += 1
            parts.append(b"%b: %b\r\n" % (name, value))
        block = b"".join(parts)
        if block.count(b"\n") != count or block.count(b"\r") != count or b"\0" in block:
            raise ResponseError("a field value with CR, LF or NUL would split the response")
        return b"%b%b%b\r\n" % (
            block,
            always,
            self._decide(status, declared, size, method, version),
        )

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


def refusal(status: int, why: str, always: bytes) -> bytes:
    """A complete response that refuses a request; the connection closes after it."""
    body = f"{why}\n".encode()
    return (
        b"%b%bcontent-type: text/plain; charset=utf-8\r\n"
        b"content-length: %d\r\nconnection: close\r\n\r\n%b"
    ) % (status_line(status), always, len(body), body)
