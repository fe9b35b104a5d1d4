"""ASGI 3: the application as `await app(scope, receive, send)`."""

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias
from urllib.parse import unquote

from nbio._lifecycle import COPY, OK
from nbio.body import BodyReader
from nbio.config import Config
from nbio.errors import BodyError, ClientDisconnected, ConcurrentReadError, ResponseError, caused
from nbio.exchange import Exchange, Peer, Wire
from nbio.files import open_file
from nbio.heads import RequestHead
from nbio.pool import BodyPool

Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

logger = logging.getLogger("nbio")

VERSION = {"version": "3.0", "spec_version": "2.5"}

EXTENSIONS: Final[dict[str, dict[str, Any]]] = {
    "http.response.trailers": {},
    "http.response.pathsend": {},
    "http.response.early_hint": {},
    "nbio.request.trailers": {},
}
"""What every HTTP scope offers; the dictionaries in it are shared, and stay empty."""


class AsgiSite:
    """An application, and what is the same in the scopes of all its requests."""

    __slots__ = ("app", "config", "extensions", "root_path", "state")
    interface = "asgi"

    def __init__(self, app: App, config: Config) -> None:
        self.app = app
        self.config = config
        self.root_path = config.root_path
        self.extensions = EXTENSIONS.copy()
        # What the lifespan left for the requests; None without a lifespan.
        self.state: dict[str, Any] | None = None

    def begin(self, pool: BodyPool) -> None:
        """See whether anybody would read what applications tell for debugging."""
        if logger.isEnabledFor(logging.DEBUG):
            self.extensions["http.response.debug"] = {}

    def end(self) -> None:
        """Nothing to end: the lifespan is the server's."""

    def exchange(
        self,
        wire: Wire,
        head: RequestHead,
        body: BodyReader | None,
        peer: Peer,
    ) -> Exchange:
        """Make the exchange for a request."""
        if head.websocket and head.method == "GET":
            # Only now: a server that has none needn't import it.
            from nbio.websocket import open_exchange

            return open_exchange(self, wire, head, body, peer)
        return AsgiExchange(self, wire, head, body, peer)


class AsgiExchange(Exchange):
    """A request to an ASGI application."""

    __slots__ = ("_delivered", "_peer", "_site", "_start", "_trailers")

    def __init__(
        self,
        site: AsgiSite,
        wire: Wire,
        head: RequestHead,
        body: BodyReader | None,
        peer: Peer,
    ) -> None:
        super().__init__(wire, head, body)
        self._site = site
        self._peer = peer
        # Whether the application was given the whole body.
        self._delivered = False
        # Status and headers: kept until the first piece of the body says how to frame it.
        self._start: tuple[Any, Any] | None = None
        # Of a response that was announced to have trailers: those so far.
        self._trailers: list[tuple[bytes, bytes]] | None = None

    def call(self) -> Awaitable[None]:
        return self._site.app(
            http_scope(self._site, self.head, self._peer), self.receive, self.send
        )

    async def receive(self) -> Message:
        """The `receive` of ASGI: pieces of the body, each at most a block, then the disconnect."""
        if not self._delivered and not self.complete:
            body = self.body
            if body is None:
                self._delivered = True
                return {"type": "http.request", "body": b"", "more_body": False}
            try:
                code = body._lease(COPY)
                here = code == OK or await body._await_lease(code, COPY)
                data = body._copy(-1) if here else b""
            except ConcurrentReadError:
                raise
            except BodyError:
                # Cut off, refused, or the response is complete. Never said to be the end.
                return {"type": "http.disconnect"}
            self._delivered = last = body.at_eof or not data
            request: Message = {"type": "http.request", "body": data, "more_body": not last}
            if last and self.head.trailers:
                request["nbio.request.trailers"] = list(self.head.trailers)
            return request
        await self.wait_gone()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """The `send` of ASGI.

        Raises ClientDisconnected (an OSError) once nothing can be sent any more, ResponseError
        for a message that is malformed or out of order.
        """
        if self.disconnected:
            raise ClientDisconnected("the client is gone")
        kind = message["type"]
        if kind == "http.response.start":
            if self._start is not None:
                raise ResponseError("http.response.start was sent already; send it once")
            self._start = (message["status"], message.get("headers", ()))
            if message.get("trailers", False):
                self._trailers = []
        elif kind == "http.response.body":
            data = message.get("body", b"")
            if type(data) is not bytes:
                data = as_bytes(data)
            self._send_body(data, not message.get("more_body", False))
            if not self.complete:
                await self.make_way(len(data))
        else:
            await self._send_other(kind, message)

    async def _send_other(self, kind: object, message: Message) -> None:
        """The messages of extensions."""
        if kind == "http.response.early_hint":
            self.send_early_hints(message.get("links", ()))
        elif kind == "http.response.debug":
            logger.debug("%s %s: %r", self.head.method, self.head.path, message.get("info"))
        elif kind == "http.response.trailers":
            self._send_trailers(message)
        elif kind == "http.response.pathsend":
            if self._start is None or self.framing is not None or self._trailers is not None:
                raise ResponseError(f"{kind} follows http.response.start at once, as the body")
            await self.send_file(*self._start, open_file(message["path"]))
        else:
            raise ResponseError(
                f"a message of type {kind!r} can't be sent here, only "
                "'http.response.start' and then 'http.response.body'"
            )

    def _send_trailers(self, message: Message) -> None:
        if self._trailers is None or self.framing is None or self.complete:
            raise ResponseError(
                "http.response.trailers follow the body of a response whose start said trailers"
            )
        self._trailers += message.get("headers", ())
        if not message.get("more_trailers", False):
            self.send_trailers(self._trailers)
            self.finish()

    def _send_body(self, data: bytes, last: bool) -> None:
        # The end is the trailers', where there will be some.
        last = last and self._trailers is None
        if self.framing is not None:
            if self.complete:
                raise ResponseError("http.response.body after the one without more_body")
            self.send_piece(data, last=last)
        elif self._start is None:
            raise ResponseError("http.response.body before http.response.start")
        else:
            status, headers = self._start
            try:
                self.start(status, headers, data, last=last)
            except TypeError as error:
                refused = ResponseError(
                    "http.response.start needs an int status and headers that are pairs of "
                    f"bytes: {error}"
                )
                raise caused(refused, error) from error
        if last:
            self.finish()


def http_scope(site: AsgiSite, head: RequestHead, peer: Peer) -> Scope:
    """The connection scope. A new one for each request; the application may change it."""
    path = head.path.decode("ascii")
    scope: Scope = {
        "type": "http",
        "asgi": VERSION.copy(),
        "http_version": head.version,
        "method": head.method,
        "scheme": peer.scheme,
        "path": site.root_path + (unquote(path) if "%" in path else path),
        "raw_path": head.path,
        "query_string": head.query,
        "root_path": site.root_path,
        "headers": head.headers,
        "client": peer.client,
        "server": peer.server,
        "extensions": site.extensions.copy(),
    }
    if peer.tls is not None:
        scope["extensions"]["tls"] = peer.tls
    if site.state is not None:
        scope["state"] = site.state.copy()
    return scope


def as_bytes(data: object) -> bytes:
    """A copy, since the application may change a buffer of its own after the send."""
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data)
    raise ResponseError(f"the body of a message is bytes, not {type(data).__name__}")
