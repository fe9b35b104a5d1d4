"""WSGI (PEP 3333): the application as `app(environ, start_response)`, in a worker thread."""

import io
import sys
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, TypeAlias
from urllib.parse import unquote_to_bytes

from nbio.body import BodyReader
from nbio.errors import (
    ClientDisconnected,
    ResponseError,
)
from nbio.exchange import Exchange, Peer, Wire
from nbio.files import FilePart
from nbio.headers import encode
from nbio.heads import RequestHead
from nbio.outlet import Head, Outlet
from nbio.pool import BodyPool
from nbio.responses import RawHeaders, declared_length
from nbio.workers import Workers
from nbio.wsgi_files import READ, BodyFile, FileWrapper

Environ: TypeAlias = dict[str, Any]
ExcInfo: TypeAlias = (
    tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
)
WsgiApp: TypeAlias = Callable[[Environ, Any], Iterable[bytes]]
"""The second argument is `start_response`; frameworks type it in ways of their own."""


class WsgiSite:
    """An application, and what is the same in the environ of all its requests."""

    __slots__ = ("app", "base", "workers")
    interface = "wsgi"

    def __init__(self, app: WsgiApp, root_path: str, threads: int, processes: int = 1) -> None:
        self.app = app
        self.workers = Workers(threads)
        self.base: Environ = {
            "SCRIPT_NAME": root_path.encode().decode("latin-1"),
            "wsgi.version": (1, 0),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": threads > 1,
            "wsgi.multiprocess": processes > 1,
            "wsgi.run_once": False,
            "wsgi.file_wrapper": FileWrapper,
            # The body's end is the end of the file, also without a Content-Length.
            "wsgi.input_terminated": True,
        }

    def begin(self, pool: BodyPool) -> None:
        """Nothing to prepare."""

    def end(self) -> None:
        """Let the threads go; one that is stuck is left to the end of the process."""
        self.workers.stop()

    def exchange(
        self, wire: Wire, head: RequestHead, body: BodyReader | None, peer: Peer
    ) -> "WsgiExchange":
        """Make the exchange for a request."""
        return WsgiExchange(self, wire, head, body, peer)


class WsgiExchange(Exchange):
    """A request to a WSGI application."""

    __slots__ = ("_outlet", "_peer", "_site")

    def __init__(
        self, site: WsgiSite, wire: Wire, head: RequestHead, body: BodyReader | None, peer: Peer
    ) -> None:
        super().__init__(wire, head, body)
        self._site = site
        self._peer = peer
        self._outlet = Outlet()

    def environ(self) -> Environ:
        """The environ, a new one for each request. Text is Latin-1, as PEP 3333 has it."""
        head, peer = self.head, self._peer
        environ = self._site.base.copy()
        environ["REQUEST_METHOD"] = head.method
        environ["PATH_INFO"] = unquote_to_bytes(head.path).decode("latin-1")
        environ["QUERY_STRING"] = head.query.decode("latin-1")
        environ["SERVER_PROTOCOL"] = f"HTTP/{head.version}"
        environ["wsgi.url_scheme"] = peer.scheme
        for name, value in head.headers:
            add_field(environ, name, value.decode("latin-1"))
        environ.update(named(peer, environ.get("HTTP_HOST", "")))
        body = self.body
        if body is None:
            environ["wsgi.input"] = io.BytesIO()
        else:
            environ["wsgi.input"] = io.BufferedReader(BodyFile(body), READ)
        return environ

    def lost(self) -> None:
        super().lost()
        self._outlet.close(ClientDisconnected("the client is gone"))

    async def call(self) -> None:
        outlet = self._outlet
        job = self._site.workers.run(self._serve, outlet, outlet.end)
        try:
            while (piece := await outlet.get()) is not None:
                await self._send(outlet.head, piece)
            if outlet.finished and not self.disconnected:
                await self._send_tail(outlet.head, outlet.tail)
            # The thread may still be in the iterable's close(), or have raised.
            await job
        except BaseException as error:
            outlet.close(error if isinstance(error, ResponseError) else gone())
            raise
        finally:
            tail = outlet.tail
            if isinstance(tail, FilePart):
                tail.close()

    async def _send(self, head: Head | None, piece: bytes) -> None:
        assert head is not None, "the thread sets it before its first piece"
        if self.framing is None:
            self.start(head.status, head.headers, piece, last=False, size=head.size)
        else:
            self.send_piece(piece, last=False)
        if self.wire.write_paused:
            await self.wire.drained()

    async def _send_tail(self, head: Head | None, tail: bytes | FilePart) -> None:
        assert head is not None, "the thread sets it before it finishes"
        if isinstance(tail, FilePart):
            await self.send_file(head.status, head.headers, tail)
        elif self.framing is None:
            self.send_all(head.status, head.headers, tail)
        else:
            self.send_piece(tail, last=True)
            self.finish()

    def _serve(self, outlet: Outlet) -> None:
        """Call the application. In the worker's thread."""
        outlet.check()
        reply = Reply(outlet)
        result = self._site.app(self.environ(), reply.start_response)
        try:
            reply.send(result)
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()


class Reply:
    """One response, as the application makes it. In the worker's thread."""

    __slots__ = ("_declared", "_head", "_outlet", "_sent")

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet
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
                if self._outlet.head is not None and exc_info[1] is not None:
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
            raise ResponseError(f"the body of a response is bytes, not {type(data).__name__}")
        outlet = self._outlet
        self._begin()
        if outlet.finished:
            if data:
                raise ResponseError("the response's body is longer than its Content-Length")
            return
        self._sent += len(data)
        if self._sent == self._declared:
            outlet.finish(data)
        else:
            outlet.put(data)

    def _begin(self, size: int = -1) -> None:
        outlet = self._outlet
        if outlet.head is None:
            if self._head is None:
                raise ResponseError("the application didn't call start_response before its body")
            outlet.head = Head(*self._head, size)

    def send(self, result: Iterable[bytes]) -> None:
        """Send what the application returned."""
        outlet = self._outlet
        if isinstance(result, FileWrapper) and outlet.head is None:
            part = result.part()
            if part is not None:
                self._begin()
                outlet.finish(part)
                return
        if isinstance(result, list | tuple) and outlet.head is None and self._head is not None:
            if len(result) == 1 and isinstance(result[0], bytes):
                self._begin()
                if type(result) is list or type(result) is tuple:
                    # Nothing of the application's is left to run.
                    outlet.settle(result[0])
                else:
                    outlet.finish(result[0])
                return
            # Checked piece by piece, but the length is known from the start.
            self._begin(sum(map(len, result)))
        for piece in result:
            # An empty piece says that there is nothing yet; the head stays back with it.
            if piece or not isinstance(piece, bytes):
                self.write(piece)
        self._begin()
        if not outlet.finished:
            outlet.finish()


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
    raw = tuple(encode(headers))
    declared = -1
    for name, value in raw:
        if name.lower() == b"content-length":
            declared = declared_length(value, declared)
    return raw, declared


def gone() -> ClientDisconnected:
    """Why a thread whose task was ended can send no more."""
    return ClientDisconnected("the response was given up")


_KNOWN_NAMES = 1024
_keys: dict[bytes, str] = {b"content-type": "CONTENT_TYPE", b"content-length": "CONTENT_LENGTH"}


def add_field(environ: Environ, name: bytes, value: str) -> None:
    """Add a header field. Those of one name are joined.

    A name with an underscore is dropped: it would be mistaken for the one with a hyphen, which
    a proxy before us may have checked or set.
    """
    key = _keys.get(name)
    if key is None:
        if b"_" in name:
            return
        key = "HTTP_" + name.decode("latin-1").upper().replace("-", "_")
        if len(_keys) < _KNOWN_NAMES:
            _keys[name] = key
    before = environ.get(key)
    if before is not None:
        value = f"{before}{'; ' if key == 'HTTP_COOKIE' else ','}{value}"
    environ[key] = value


def named(peer: Peer, host: str) -> Environ:
    """The variables that say who talks to whom. SERVER_NAME and SERVER_PORT are never empty."""
    environ: Environ = {}
    server, client = peer.server, peer.client
    if server is not None and server[1] is not None:
        environ["SERVER_NAME"], environ["SERVER_PORT"] = server[0], str(server[1])
    else:
        # A Unix socket has no name a client could use; the client said one.
        name, colon, port = host.rpartition(":")
        if not colon or port.endswith("]"):
            name, port = host, ""
        environ["SERVER_NAME"] = name or "localhost"
        environ["SERVER_PORT"] = port or ("443" if peer.scheme == "https" else "80")
    if client is not None and client[1] is not None:
        environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = client[0], str(client[1])
    return environ
