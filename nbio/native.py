"""The native interface: `async def handler(request: Request) -> Response`.

A plain `def` works too; it runs in a worker thread.
"""

import asyncio
import concurrent.futures
import functools
import inspect
import threading
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Iterator
from typing import TypeAlias, TypeGuard
from urllib.parse import unquote

from nbio.body import BodyReader
from nbio.errors import ClientDisconnected, ResponseError
from nbio.exchange import Address, Exchange, Peer, Wire
from nbio.files import File, FilePart
from nbio.headers import HeaderItems, Headers, encode
from nbio.heads import RequestHead
from nbio.outlet import Piece
from nbio.pool import BodyPool
from nbio.pump import from_thread
from nbio.responses import RawHeaders
from nbio.variant import mypyc_attr
from nbio.workers import Workers


class Request:
    """A request. Never recycled, so it may be kept; its body, past the request, is closed."""

    __slots__ = ("_exchange", "_headers", "http_version", "method")

    def __init__(self, exchange: "NativeExchange") -> None:
        head = exchange.head
        self._exchange = exchange
        self._headers: Headers | None = None
        self.method = head.method
        self.http_version = head.version

    @property
    def client(self) -> Address | None:
        """(host, port) of the client; (path, None), or None, on a Unix socket."""
        return self._exchange.peer.client

    @property
    def server(self) -> Address | None:
        """The address it connected to, as `client`."""
        return self._exchange.peer.server

    @property
    def scheme(self) -> str:
        """ "http" or "https"."""
        return self._exchange.peer.scheme

    @property
    def raw_path(self) -> bytes:
        """The path as sent, percent-encoded, without the query."""
        return self._exchange.head.path

    @property
    def path(self) -> str:
        """The path, decoded."""
        return unquote(self._exchange.head.path.decode("ascii"))

    @property
    def query(self) -> bytes:
        """What follows the `?`, as sent."""
        return self._exchange.head.query

    @property
    def headers(self) -> Headers:
        """The header fields."""
        if self._headers is None:
            self._headers = Headers(self._exchange.head.headers)
        return self._headers

    @property
    def trailers(self) -> Headers:
        """The fields after a chunked body, once it has arrived; empty before, and without any."""
        return Headers(self._exchange.head.trailers)

    @property
    def body(self) -> BodyReader:
        """The body. A client that waits for a 100 (Continue) is sent one at the first read.

        Raises PoolExhausted for a request without body, when no slot is left for an empty one.
        """
        return self._exchange.open_body()

    def iter_body(self, size: int = 65536) -> Iterator[bytes]:
        """The body in pieces of at most `size` bytes, for synchronous handlers.

        Raises what `BodyReader.read_blocking` raises.
        """
        body = self.body
        while piece := body.read_blocking(size):
            yield piece

    def send_early_hints(self, links: Iterable[str]) -> None:
        """Send a 103 (Early Hints; RFC 8297) with these Link values. From any thread.

        HTTP/1.0 clients get none. Raises ResponseError for what is no field value, and once
        the response has started.
        """
        self._exchange.hint([link.encode("latin-1") for link in links])

    @property
    def disconnected(self) -> bool:
        """Whether the client is known to be gone, or was refused: nothing reaches it any more."""
        return self._exchange.disconnected

    async def wait_disconnected(self) -> None:
        """Wait until the client is gone, or its response complete.

        Also returns when the client sends no more, which may mean that it is gone: then
        `disconnected` is still False, and a response is still sent.
        """
        await self._exchange.wait_gone()

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.path}>"


SlowBody: TypeAlias = (
    File | AsyncIterable[bytes] | AsyncIterable[Piece] | Iterable[bytes] | Iterable[Piece]
)
"""Bodies that aren't here as bytes."""

ResponseBody: TypeAlias = bytes | bytearray | memoryview | str | SlowBody | None
"""What a response's body may be."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Response:
    """A response. `str` is sent as UTF-8, a File by sendfile, an iterable of bytes is streamed.

    An asynchronous iterable runs in the handler's task, another one in a worker thread; either
    is closed (`aclose`, `close`) at its end, or when the client left before.
    `media_type` is the Content-Type; without it and without such a header text is
    "text/plain; charset=utf-8", and other bodies have none. `trailers` is called when a stream
    has ended, for the fields behind it; they are sent to clients that take them (`TE: trailers`).
    """

    __slots__ = ("body", "headers", "media_type", "status", "trailers")

    def __init__(
        self,
        body: ResponseBody = None,
        *,
        status: int = 200,
        headers: HeaderItems | None = None,
        media_type: str | None = None,
        trailers: Callable[[], HeaderItems] | None = None,
    ) -> None:
        self.body = body
        self.status = status
        self.headers = headers
        self.media_type = media_type
        self.trailers = trailers

    def encoded_headers(self) -> RawHeaders:
        """The fields as they are sent."""
        kind = self.media_type
        if kind is None and isinstance(self.body, str):
            kind = TEXT
        if not self.headers:
            return content_type(kind) if kind is not None else ()
        raw = encode(self.headers)
        if kind is not None and not any(name.lower() == b"content-type" for name, _ in raw):
            return (*content_type(kind), *raw)
        return raw


TEXT = "text/plain; charset=utf-8"


@functools.lru_cache(maxsize=256)
def content_type(kind: str) -> tuple[tuple[bytes, bytes], ...]:
    """The field for a media type; a server has few of them."""
    return ((b"content-type", kind.encode("latin-1")),)


AsyncHandler: TypeAlias = Callable[[Request], Awaitable[Response]]
SyncHandler: TypeAlias = Callable[[Request], Response]
Handler: TypeAlias = AsyncHandler | SyncHandler


class NativeSite:
    """A handler, and what all its requests need."""

    __slots__ = ("handler", "inline", "pool", "workers")
    interface = "native"

    def __init__(self, handler: Handler, threads: int, inline: "SyncHandler | None" = None) -> None:
        # One that is called without a task, by exchanges of its own; `handler` then is the same.
        self.inline = inline
        # Their threads start when they are needed, by sync handlers and by sync iterables.
        self.workers = Workers(threads)
        # Set when the server starts, which makes the pool.
        self.pool: BodyPool | None = None
        if is_async(handler):
            self.handler: AsyncHandler = handler

    def begin(self, pool: BodyPool) -> None:
        """Take the pool, for the bodies of requests that have none."""
        self.pool = pool

    def end(self) -> None:
        """Let the threads go."""
        self.workers.stop()

    def exchange(
        self,
        wire: Wire,
        head: RequestHead,
        body: BodyReader | None,
        peer: Peer,
    ) -> "NativeExchange":
        """Make the exchange for a request."""
        return NativeExchange(self, wire, head, body, peer)


def is_async(handler: Handler) -> TypeGuard[AsyncHandler]:
    """Whether calling it gives an awaitable: a coroutine function, or an object whose call is."""
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(
        getattr(handler, "__call__", None)  # noqa: B004 (asked for its kind, not its presence)
    )


# For the rare body of a request without one; its users may be threads.
_opening = threading.Lock()


class NativeExchange(Exchange):
    """A request to a native handler."""

    __slots__ = ("_site", "peer")

    def __init__(
        self,
        site: NativeSite,
        wire: Wire,
        head: RequestHead,
        body: BodyReader | None,
        peer: Peer,
    ) -> None:
        super().__init__(wire, head, body)
        self._site = site
        self.peer = peer

    def open_body(self) -> BodyReader:
        """The request's body; for a request without one an empty one, made when asked for."""
        if self.body is not None:
            return self.body
        pool = self._site.pool
        assert pool is not None, "the server has set it"
        with _opening:
            if self.body is None:
                body = pool.acquire(f"{self.head.method} {self.head.path.decode('ascii')}")
                body.finish()
                self.body = body
                self.released = False
                # No lock in `close`: it stores `over` before it looks at the body, we do the
                # reverse, so one of the two sees the other's; releasing twice does no harm.
                if self.over:
                    body.release()
        return self.body

    def hint(self, links: list[bytes]) -> None:
        """Send early hints. Any thread."""
        loop = self.wire.loop
        if asyncio._get_running_loop() is loop:
            self.send_early_hints(links)
            return
        sent: concurrent.futures.Future[None] = concurrent.futures.Future()

        def send() -> None:
            try:
                self.send_early_hints(links)
            except ResponseError as error:
                sent.set_exception(error)
            else:
                sent.set_result(None)

        loop.call_soon_threadsafe(send)
        sent.result()

    async def call(self) -> None:
        # What it says it returns isn't believed yet.
        handler: Callable[[Request], Awaitable[object]] = self._site.handler
        response = await handler(Request(self))
        slow = self.answer(response)
        if slow is not None:
            assert isinstance(response, Response), "any other was refused"
            await self.answer_slowly(response, slow)

    def answer(self, response: object) -> SlowBody | None:
        """Send a response, unless it has a body that takes its time: that is returned.

        Raises ResponseError for what is no response, and ClientDisconnected.
        """
        if not isinstance(response, Response):
            raise ResponseError(
                f"the handler returned {type(response).__name__}, not nbio.Response"
            )
        if self.disconnected:
            raise ClientDisconnected("the client is gone")
        body = response.body
        if not isinstance(body, bytes):
            if body is None:
                body = b""
            elif isinstance(body, str):
                body = body.encode()
            elif isinstance(body, bytearray | memoryview):
                body = bytes(body)
            else:
                return body
        self.send_all(response.status, response.encoded_headers(), body)
        return None

    async def answer_slowly(self, response: Response, body: SlowBody) -> None:
        """Send a response whose body is a file or a stream.

        Raises ResponseError for a File that was sent before, and ClientDisconnected.
        """
        headers = response.encoded_headers()
        if isinstance(body, FilePart):
            if body.fd < 0:
                raise ResponseError("a File is sent once; open it again for another response")
            await self.send_file(response.status, headers, body)
        elif isinstance(body, AsyncIterable):
            await self._stream(response, headers, body)
        else:
            await self._stream(response, headers, from_thread(body, self._site.workers))

    async def _stream(
        self, response: Response, headers: RawHeaders, body: AsyncIterable[Piece]
    ) -> None:
        self.start(response.status, headers, b"", last=False)
        iterator = aiter(body)
        try:
            async for piece in iterator:
                if self.disconnected:
                    raise ClientDisconnected("the client is gone")
                if piece:
                    # A view is the body's, and won't stay.
                    data = piece if isinstance(piece, bytes) else bytes(piece)
                    self.send_piece(data, last=False)
                await self.make_way(len(piece))
            if response.trailers is None:
                self.send_piece(b"", last=True)
            else:
                self.send_trailers(encode(response.trailers()))
        finally:
            # `async for` doesn't close what it leaves early.
            close = getattr(iterator, "aclose", None)
            if close is not None:
                await close()
        self.finish()
