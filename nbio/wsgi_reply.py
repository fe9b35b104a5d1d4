"""A WSGI response, as the application makes it: start_response, write, and what it returns."""

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Final, Protocol, TypeAlias
from wsgiref.util import is_hop_by_hop

from nbio.errors import ResponseError
from nbio.files import FilePart
from nbio.headers import encode
from nbio.outlet import Head, Outlet
from nbio.responses import RawHeaders, encode_fields
from nbio.wsgi_files import FileWrapper

ExcInfo: TypeAlias = (
    tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
)
Whole: TypeAlias = tuple[int, RawHeaders, bytes]
"""Status, fields and body of a response."""


NOT_BYTES: Final = "the body of a response is bytes, not %s"

JOIN: Final = 65536
"""Pieces of a list that are together no longer than this are sent as one."""


class ReplyWire(Protocol):
    """Where a reply goes."""

    def send_early(self, whole: Whole) -> None:
        """Send a response while the application goes on."""

    def open_outlet(self, head: Head) -> Outlet:
        """Begin a response that is sent piece by piece."""


class Reply:
    """One response, as the application makes it. In the worker's thread."""

    __slots__ = ("_declared", "_finished", "_head", "_outlet", "_sent", "_wire")

    def __init__(self, wire: ReplyWire) -> None:
        self._wire = wire
        # Once it is known that the response doesn't go in one piece.
        self._outlet: Outlet | None = None
        self._finished = False
        # What start_response said; nothing of it is sent before the first byte of the body.
        self._head: tuple[int, RawHeaders] | None = None
        # The Content-Length it said, or -1; and how many bytes were handed over.
        self._declared = -1
        self._sent = 0

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None, /
    ) -> Callable[[bytes], None]:
        """PEP 3333's start_response.

        Raises the error in `exc_info` when the response has started, ResponseError for a second
        call without it and for what is no response.
        """
        if exc_info:
            try:
                started = self._finished or self._outlet is not None
                if started and exc_info[1] is not None:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                # Its traceback holds this frame.
                exc_info = None
        elif self._head is not None:
            raise ResponseError("start_response was called already; with exc_info it may be again")
        code = status[:3]
        if not (code.isascii() and code.isdigit()) or status[3:4] not in ("", " "):
            raise ResponseError(f"a status is three digits and a reason, not {status!r}")
        raw, self._declared = start_fields(headers)
        self._head = (int(code), raw)
        return self.write

    def write(self, data: bytes) -> None:
        """Send a piece of the body, and with the first one the head. Blocks a slow client's thread.

        Raises ClientDisconnected (an OSError) when the client is gone.
        """
        if not isinstance(data, bytes):
            raise ResponseError(NOT_BYTES % type(data).__name__)
        if self._finished:
            if data:
                raise ResponseError("the response's body is longer than its Content-Length")
            return
        self._sent += len(data)
        last = self._sent == self._declared
        if last and self._outlet is None:
            self._finish_early(data)
        elif last:
            self._finish(data)
        else:
            self._begin().put(data)

    def _begin(self, size: int = -1) -> Outlet:
        outlet = self._outlet
        if outlet is None:
            outlet = self._outlet = self._wire.open_outlet(Head(*self._started(), size))
        return outlet

    def _started(self) -> tuple[int, RawHeaders]:
        if self._head is None:
            raise ResponseError("the application didn't call start_response before its body")
        return self._head

    def _finish(self, tail: bytes | FilePart = b"") -> None:
        self._begin().finish(tail)
        self._finished = True

    def _finish_early(self, data: bytes) -> None:
        """All of the body is here, and the application may still have something to do."""
        self._wire.send_early((*self._started(), data))
        self._finished = True

    def send(self, result: Iterable[bytes]) -> Whole | None:
        """Send what the application returned; or return it, where nothing is left to be run."""
        if self._outlet is None and not self._finished:
            if isinstance(result, FileWrapper):
                part = result.part()
                if part is not None:
                    self._finish(part)
                    return None
            elif isinstance(result, list | tuple) and self._head is not None:
                size = sum(map(len, result))
                if size <= JOIN or len(result) == 1:
                    return self._send_joined(result)
                # Checked piece by piece, but the length is known from the start.
                self._begin(size)
        for piece in result:
            # An empty piece says that there is nothing yet; the head stays back with it.
            if piece or not isinstance(piece, bytes):
                self.write(piece)
        if not self._finished:
            self._finish()
        return None

    def _send_joined(self, pieces: list[bytes] | tuple[bytes, ...]) -> Whole | None:
        for piece in pieces:
            if not isinstance(piece, bytes):
                raise ResponseError(NOT_BYTES % type(piece).__name__)
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if type(pieces) is list or type(pieces) is tuple:
            # Nothing of the application's is left to run.
            return (*self._started(), data)
        self._finish_early(data)
        return None


_KNOWN_FIELDS = 256
_fields: dict[tuple[tuple[str, str], ...], tuple[RawHeaders, int]] = {}


def start_fields(headers: list[tuple[str, str]]) -> tuple[RawHeaders, int]:
    """The fields encoded, and the Content-Length or -1; remembered. Raises ResponseError."""
    key = tuple(headers)
    try:
        known = _fields.get(key)
    except TypeError:
        # Pairs that are lists can't be looked up.
        return encode_start(headers)
    if known is None:
        known = encode_start(headers)
        if len(_fields) >= _KNOWN_FIELDS:
            _fields.clear()
        if sum(len(name) + len(value) for name, value in headers) <= 1024:
            _fields[key] = known
    return known


def encode_start(headers: list[tuple[str, str]]) -> tuple[RawHeaders, int]:
    """As start_fields."""
    for name, _ in headers:
        if is_hop_by_hop(name):
            raise ResponseError(f"{name} is the server's to send (PEP 3333): leave it out")
    raw = tuple(encode(headers))
    # While the application still runs and can answer otherwise; the status says nothing here.
    return raw, encode_fields(200, raw).declared
