"""Reads responses off a socket, strictly: what isn't HTTP is an error, and nothing is skipped."""

import re
import socket
from dataclasses import dataclass, field

LINE = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2}) [\t -~]*")
FIELD = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+): ([!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?"
)
SIZE = re.compile(rb"[0-9a-f]{1,8}")


class NotHttp(AssertionError):
    """The server sent what is no response."""


class Ended(Exception):
    """The connection is closed, or reset, before another response."""


@dataclass
class Reply:
    """One response."""

    status: int
    fields: list[tuple[str, str]]
    body: bytes = b""
    trailers: dict[str, str] = field(default_factory=dict)
    # The response's end is the connection's.
    by_close: bool = False

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key == name]


class Replies:
    """The responses on a connection, one at a time."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._data = b""

    def next(self, *, head: bool = False) -> Reply:
        """The next response, to a HEAD if `head`. Raises Ended, or NotHttp."""
        reply = self._head()
        if head or reply.status < 200 or reply.status in (204, 304):
            return reply
        lengths, codings = reply.values("content-length"), reply.values("transfer-encoding")
        if len(lengths) + len(codings) > 1:
            raise NotHttp(f"framed twice: {reply.fields}")
        if codings:
            self._chunks(reply)
        elif lengths:
            reply.body = self._take(int(lengths[0]))
        else:
            reply.by_close = True
            while self._more():
                pass
            reply.body, self._data = self._data, b""
        return reply

    def rest(self) -> bytes:
        """What comes before the connection is closed."""
        while self._more():
            pass
        return self._data

    def _head(self) -> Reply:
        while b"\r\n\r\n" not in self._data:
            if not self._more():
                if self._data:
                    raise NotHttp(f"ended in a head: {self._data!r}")
                raise Ended
        head, _, self._data = self._data.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        match = LINE.fullmatch(first)
        if match is None:
            raise NotHttp(f"no status line: {first!r}")
        return Reply(int(match[1]), [parsed(line) for line in lines])

    def _chunks(self, reply: Reply) -> None:
        while True:
            size = self._line()
            if SIZE.fullmatch(size) is None:
                raise NotHttp(f"no chunk size: {size!r}")
            if not int(size, 16):
                break
            reply.body += self._take(int(size, 16))
            if self._line():
                raise NotHttp("a chunk longer than its size")
        while line := self._line():
            name, value = parsed(line)
            reply.trailers[name] = value

    def _line(self) -> bytes:
        while b"\r\n" not in self._data:
            if not self._more():
                raise NotHttp(f"ended in a line: {self._data!r}")
        line, _, self._data = self._data.partition(b"\r\n")
        return line

    def _take(self, count: int) -> bytes:
        while len(self._data) < count:
            if not self._more():
                raise NotHttp(f"ended {count - len(self._data)} bytes early")
        taken, self._data = self._data[:count], self._data[count:]
        return taken

    def _more(self) -> bool:
        try:
            piece = self._socket.recv(65536)
        except ConnectionError:
            return False
        self._data += piece
        return bool(piece)


def parsed(line: bytes) -> tuple[str, str]:
    """A field line."""
    match = FIELD.fullmatch(line)
    if match is None:
        raise NotHttp(f"no field line: {line!r}")
    return match[1].decode().lower(), (match[2] or b"").decode("latin-1")
