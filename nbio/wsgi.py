"""WSGI (PEP 3333): the application as `app(environ, start_response)`, in a worker thread."""

import asyncio
import contextlib
import io
import sys
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, TypeAlias
from urllib.parse import unquote_to_bytes

from nbio.body import BodyReader
from nbio.errors import ClientDisconnected, ResponseError
from nbio.exchange import Address, Exchange, Peer, Wire
from nbio.files import FilePart
from nbio.heads import RequestHead
from nbio.hub import Hub
from nbio.outlet import Head, Outlet
from nbio.pool import BodyPool
from nbio.workers import Job, Workers
from nbio.wsgi_files import READ, BodyFile, FileWrapper
from nbio.wsgi_reply import Reply, Whole

Environ: TypeAlias = dict[str, Any]
WsgiApp: TypeAlias = Callable[[Environ, Any], Iterable[bytes]]
"""The second argument is `start_response`; frameworks type it in ways of their own."""

_KNOWN_BASES = 64


class WsgiSite:
    """An application, and what is the same in the environ of all its requests."""

    __slots__ = ("_bases", "app", "base", "workers")
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
        self._bases: dict[tuple[Address | None, str], Environ] = {}

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

    def base_of(self, peer: Peer) -> Environ:
        """What is the same for all requests to the address that the peer talks to."""
        server = peer.server
        key = (server, peer.scheme)
        base = self._bases.get(key)
        if base is None:
            base = {**self.base, "wsgi.url_scheme": peer.scheme}
            if server is not None and server[1] is not None:
                base["SERVER_NAME"], base["SERVER_PORT"] = server[0], str(server[1])
            if len(self._bases) >= _KNOWN_BASES:
                self._bases.clear()
            self._bases[key] = base
        return base


class WsgiExchange(Exchange):
    """A request to a WSGI application. Only a response that takes its time has a task.

    The thread returns a response that is whole, or hands it over early, when the application
    still has something to do; any other goes piece by piece, through an outlet.
    """

    __slots__ = ("_error", "_hub", "_job", "_outlet", "_peer", "_returned", "_site")
    begins_at_once: ClassVar[bool] = True
    _hub: Hub
    _job: "Job[None, Whole | None]"

    def __init__(
        self, site: WsgiSite, wire: Wire, head: RequestHead, body: BodyReader | None, peer: Peer
    ) -> None:
        super().__init__(wire, head, body)
        self._site = site
        self._peer = peer
        # Made by the thread.
        self._outlet: Outlet | None = None
        # For the task: a future for the thread's end, and what it raised.
        self._returned: asyncio.Future[None] | None = None
        self._error: Exception | None = None

    def environ(self) -> Environ:
        """The environ, a new one for each request. Text is Latin-1, as PEP 3333 has it."""
        head, peer = self.head, self._peer
        environ = self._site.base_of(peer).copy()
        # The asterisk is no path: that is empty then (RFC 9112, 3.3), and never without its slash.
        path = head.path if head.path != b"*" else b""
        environ["REQUEST_METHOD"] = head.method
        environ["PATH_INFO"] = (unquote_to_bytes(path) if b"%" in path else path).decode("latin-1")
        environ["QUERY_STRING"] = head.query.decode("latin-1")
        environ["SERVER_PROTOCOL"] = "HTTP/1.1" if head.version == "1.1" else "HTTP/1.0"
        for name, value in head.headers:
            key = _keys.get(name)
            if key is None or key in environ:
                add_field(environ, name, value.decode("latin-1"))
            else:
                environ[key] = value.decode("latin-1")
        client = peer.client
        if client is not None and client[1] is not None:
            environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = client[0], str(client[1])
        if "SERVER_NAME" not in environ:
            environ.update(named(peer, environ.get("HTTP_HOST", "")))
        body = self.body
        if body is None:
            environ["wsgi.input"] = io.BytesIO()
        else:
            environ["wsgi.input"] = io.BufferedReader(BodyFile(body), READ)
        return environ

    # In the worker's thread.

    def _serve(self, _: None) -> Whole | None:
        """Call the application; return its response if that is whole and not sent yet."""
        if self.disconnected:
            raise gone()
        reply = Reply(self)
        result = self._site.app(self.environ(), reply.start_response)
        try:
            return reply.send(result)
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()

    def send_early(self, whole: Whole) -> None:
        """Send a response while the application goes on."""
        self._job.landing.add(Early(self, whole))

    def open_outlet(self, head: Head) -> Outlet:
        """Begin a response that is sent piece by piece."""
        outlet = Outlet(head)
        # In this order, and `lost` and `cancel` in the other: so one of the two closes it.
        self._outlet = outlet
        if self.disconnected or self.over:
            outlet.close(gone())
        with contextlib.suppress(RuntimeError):
            # A closed loop has nobody who waits.
            self._hub.loop.call_soon_threadsafe(self._stream)
        return outlet

    # On the loop's.

    def begin(self, hub: Hub) -> None:
        if self.over:
            # Given up before its turn came.
            return
        self._hub = hub
        self._job = job = Job(self._serve, None, self._landed, hub.context.copy())
        self._site.workers.submit(job, hub.loop)

    def answer(self, whole: Whole) -> None:
        """Send a whole response, unless nobody wants it any more."""
        if self.over or self.disconnected:
            return
        try:
            self.send_all(*whole)
        except BaseException as error:
            self._failed(error)

    def _landed(self, job: "Job[None, Whole | None]") -> None:
        """The application has returned, and has closed what it returned."""
        outlet = self._outlet
        if self.over:
            # Given up meanwhile.
            if outlet is not None:
                outlet.drop()
            return
        error = job.error
        if outlet is not None:
            self._error = error
            self._stream()
            outlet.end()
            if self._returned is not None:
                self._returned.set_result(None)
            return
        if error is not None:
            self._crashed(error)
        elif job.result is not None:
            self.answer(job.result)
        self.close()

    def _failed(self, error: BaseException) -> None:
        self._crashed(error)
        if not isinstance(error, Exception):
            self._hub.end_loop(error)

    def _stream(self) -> None:
        """Start the task that sends what goes through the outlet, if it doesn't run yet."""
        if self._returned is None and not self.over:
            self._returned = self._hub.loop.create_future()
            self.task = self._hub.start_task(self.run())

    async def call(self) -> None:
        outlet, returned = self._outlet, self._returned
        assert outlet is not None, "the thread has made it"
        assert returned is not None, "this task was started with it"
        try:
            while (piece := await outlet.get()) is not None:
                await self._send(outlet.head, piece)
            if outlet.finished and not self.disconnected:
                await self._send_tail(outlet.head, outlet.tail)
            # The thread may still be in the iterable's close().
            await returned
            if self._error is not None:
                raise self._error
        except BaseException as error:
            outlet.close(error if isinstance(error, ResponseError) else gone())
            raise
        finally:
            outlet.drop()

    async def _send(self, head: Head, piece: bytes) -> None:
        if self.framing is None:
            self.start(head.status, head.headers, piece, last=False, size=head.size)
        else:
            self.send_piece(piece, last=False)
        if self.wire.write_paused:
            await self.wire.drained()

    async def _send_tail(self, head: Head, tail: bytes | FilePart) -> None:
        if isinstance(tail, FilePart):
            await self.send_file(head.status, head.headers, tail)
        elif self.framing is None:
            self.send_all(head.status, head.headers, tail)
        else:
            self.send_piece(tail, last=True)
            self.finish()

    def lost(self) -> None:
        super().lost()
        if self._outlet is not None:
            self._outlet.close(ClientDisconnected("the client is gone"))

    def cancel(self) -> None:
        if self.task is None:
            # Its thread can't be stopped; whatever it returns comes too late.
            self.close()
            if self._outlet is not None:
                self._outlet.close(gone())
        super().cancel()


class Early:
    """A response that is whole while its application goes on, on its way to the loop."""

    __slots__ = ("_exchange", "_whole")

    def __init__(self, exchange: WsgiExchange, whole: Whole) -> None:
        self._exchange = exchange
        self._whole = whole

    def land(self) -> None:
        self._exchange.answer(self._whole)


def gone() -> ClientDisconnected:
    """Why a thread whose request was given up can send no more."""
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
    """The server's name where it has none that a client could use, but the one the client said.

    Neither is ever empty.
    """
    name, colon, port = host.rpartition(":")
    if not colon or port.endswith("]"):
        name, port = host, ""
    return {
        "SERVER_NAME": name or "localhost",
        "SERVER_PORT": port or ("443" if peer.scheme == "https" else "80"),
    }
