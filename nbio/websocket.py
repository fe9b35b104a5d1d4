"""WebSocket for ASGI applications: the handshake (RFC 6455, section 4), and the two callables."""

import base64
import binascii
import hashlib
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from nbio.asgi import AsgiSite, Message, Scope, as_bytes, http_scope
from nbio.body import BodyReader
from nbio.errors import ClientDisconnected, ResponseError
from nbio.exchange import Exchange, Peer, Wire
from nbio.heads import RequestHead
from nbio.responses import Pairs, encode_fields, without
from nbio.websocket_codes import ABNORMAL, INTERNAL_ERROR

if TYPE_CHECKING:
    from websockets.extensions import Extension

    from nbio.websocket_frames import FramedConnection

logger = logging.getLogger("nbio")

GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""What RFC 6455 appends to a key, to show that the server knows what it answers."""

TEXT: Final = (b"content-type", b"text/plain; charset=utf-8")


def as_event(message: bytes | str | None, ended: tuple[int, str]) -> dict[str, Any]:
    """A message, or the end, as ASGI has it."""
    if message is None:
        return {"type": "websocket.disconnect", "code": ended[0], "reason": ended[1]}
    key = "text" if isinstance(message, str) else "bytes"
    return {"type": "websocket.receive", key: message}


class BadHandshake(Exception):
    """A request to open a WebSocket that is none; `status` and `fields` are the answer's."""

    def __init__(self, status: int, why: str, *fields: tuple[bytes, bytes]) -> None:
        super().__init__(why)
        self.status = status
        self.fields = fields


def values(head: RequestHead, name: bytes) -> list[bytes]:
    """The values of a field."""
    return [value for key, value in head.headers if key == name]


def accept_key(head: RequestHead) -> bytes:
    """Check the handshake; return what Sec-WebSocket-Accept must be. Raises BadHandshake."""
    if head.has_body:
        raise BadHandshake(400, "a WebSocket handshake has no body")
    versions = values(head, b"sec-websocket-version")
    if versions != [b"13"]:
        if len(versions) == 1 and versions[0].isdigit():
            raise BadHandshake(
                426,
                "the only WebSocket version that is served is 13",
                (b"upgrade", b"websocket"),
                (b"sec-websocket-version", b"13"),
            )
        raise BadHandshake(
            400, "a handshake has one Sec-WebSocket-Version", (b"sec-websocket-version", b"13")
        )
    keys = values(head, b"sec-websocket-key")
    try:
        valid = len(keys) == 1 and len(base64.b64decode(keys[0], validate=True)) == 16
    except binascii.Error:
        valid = False
    if not valid:
        raise BadHandshake(400, "a handshake has one Sec-WebSocket-Key, of 16 bytes in base64")
    return base64.b64encode(hashlib.sha1(keys[0] + GUID, usedforsecurity=False).digest())


def offered(head: RequestHead) -> list[str]:
    """The subprotocols that the client offers, in its order of preference."""
    names = b",".join(values(head, b"sec-websocket-protocol")).decode("latin-1").split(",")
    return [name.strip() for name in names if name.strip()]


def negotiate(head: RequestHead, compress: bool) -> "tuple[list[Extension], str | None]":
    """Agree on permessage-deflate (RFC 7692). Raises BadHandshake for a malformed offer."""
    offers = values(head, b"sec-websocket-extensions")
    if not offers or not compress:
        return [], None
    from websockets.datastructures import Headers
    from websockets.exceptions import InvalidHandshake
    from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
    from websockets.server import ServerProtocol

    # Windows of 4 KiB: a quarter of the memory, and nearly the compression, of the largest.
    factory = ServerPerMessageDeflateFactory(
        server_max_window_bits=12, client_max_window_bits=12, compress_settings={"memLevel": 5}
    )
    fields = Headers([("Sec-WebSocket-Extensions", value.decode("latin-1")) for value in offers])
    try:
        answer, extensions = ServerProtocol(extensions=[factory]).process_extensions(fields)
    except InvalidHandshake as error:
        raise BadHandshake(400, f"malformed Sec-WebSocket-Extensions: {error}") from None
    return extensions, answer


class WebSocketExchange(Exchange):
    """A WebSocket of an ASGI application, from its handshake to the application's return."""

    __slots__ = (
        "_accept",
        "_answer",
        "_connected",
        "_extensions",
        "_half_closed",
        "_peer",
        "_site",
        "_socket",
        "_start",
    )

    def __init__(
        self, site: AsgiSite, wire: Wire, head: RequestHead, body: BodyReader | None, peer: Peer
    ) -> None:
        super().__init__(wire, head, body)
        self._site = site
        self._peer = peer
        self._accept = b""
        self._extensions: list[Extension] = []
        self._answer: str | None = None
        # Whether the application was given websocket.connect.
        self._connected = False
        self._half_closed = False
        # Once it was accepted.
        self._socket: FramedConnection | None = None
        # Of a denial: kept until the first piece of the body, as for any response.
        self._start: tuple[Any, Any] | None = None

    def scope(self) -> Scope:
        """The connection scope."""
        scope = http_scope(self._site, self.head, self._peer)
        scope["type"] = "websocket"
        del scope["method"]
        scope["scheme"] = "wss" if self._peer.scheme == "https" else "ws"
        scope["subprotocols"] = offered(self.head)
        scope["extensions"] = {"websocket.http.response": {}}
        if self._peer.tls is not None:
            scope["extensions"]["tls"] = self._peer.tls
        return scope

    async def call(self) -> None:
        try:
            self._accept = accept_key(self.head)
            compress = self._site.config.ws_per_message_deflate
            self._extensions, self._answer = negotiate(self.head, compress)
        except BadHandshake as error:
            self.send_all(error.status, [TEXT, *error.fields], f"{error}\n".encode())
            return
        await self._site.app(self.scope(), self.receive, self.send)

    # ASGI's two callables.

    async def receive(self) -> Message:
        """The `receive` of ASGI: connect, messages, disconnect."""
        if not self._connected:
            self._connected = True
            return {"type": "websocket.connect"}
        socket = self._socket
        if socket is None:
            await self.wait_gone()
            # It may have been accepted meanwhile, by another task.
            if self._socket is None:
                return as_event(None, (ABNORMAL, ""))
            socket = self._socket
        message = await socket.receive()
        return as_event(message, socket.ended)

    async def send(self, message: Message) -> None:
        """The `send` of ASGI.

        Raises ClientDisconnected (an OSError) once the client is gone or has closed,
        ResponseError for a message that is malformed or out of order.
        """
        kind = message["type"]
        socket = self._socket
        if self.complete:
            raise ResponseError(f"{kind} was sent after the end of the WebSocket")
        if socket is not None and kind == "websocket.send":
            await socket.send(payload(message))
        elif socket is not None and kind == "websocket.close":
            if socket.closing:
                raise ClientDisconnected("the client has closed the WebSocket")
            socket.close(message.get("code") or 1000, message.get("reason") or "")
            self.complete = True
        elif self.disconnected:
            raise ClientDisconnected("the client is gone")
        elif socket is None and kind.startswith("websocket."):
            await self._answer_handshake(kind, message)
        else:
            raise ResponseError(f"a message of type {kind!r} can't be sent now")

    async def _answer_handshake(self, kind: str, message: Message) -> None:
        if kind == "websocket.http.response.body":
            await self._deny(message)
        elif self._start is not None:
            raise ResponseError(f"{kind} after websocket.http.response.start")
        elif kind == "websocket.accept":
            self._open(message)
        elif kind == "websocket.close":
            self.send_all(403, [TEXT], b"the WebSocket was refused\n")
        elif kind == "websocket.http.response.start":
            self._start = (message["status"], message.get("headers", ()))
        else:
            raise ResponseError(f"{kind} before websocket.accept")

    async def _deny(self, message: Message) -> None:
        """The denial response extension: an ordinary response to the handshake."""
        if self._start is None:
            raise ResponseError("websocket.http.response.body before its start")
        data = as_bytes(message.get("body", b""))
        last = not message.get("more_body", False)
        if self.framing is None:
            self.start(*self._start, data, last=last)
        else:
            self.send_piece(data, last=last)
        if last:
            self.finish()
        elif self.wire.write_paused:
            await self.wire.drained()

    def _open(self, message: Message) -> None:
        from nbio.websocket_frames import FramedConnection

        response = self._switching(message.get("subprotocol"), message.get("headers") or ())
        hub, transport, pending = self.wire.upgrade(response)
        self._socket = FramedConnection(hub, transport, self._extensions, self.lost)
        self._socket.begin(pending, ended=self._half_closed)
        if self._gone is not None:
            # A task that waits in receive.
            self._gone.set()

    def _switching(self, subprotocol: str | None, headers: Pairs) -> bytes:
        """The 101. Raises ResponseError."""
        fields: list[Sequence[bytes]] = [
            (b"upgrade", b"websocket"),
            (b"sec-websocket-accept", self._accept),
        ]
        if subprotocol is not None:
            if subprotocol not in offered(self.head):
                raise ResponseError(
                    f"the client doesn't offer the subprotocol {subprotocol!r}, only "
                    f"{offered(self.head)}, and would fail the connection"
                )
            fields.append((b"sec-websocket-protocol", subprotocol.encode("latin-1")))
        if self._answer is not None:
            fields.append((b"sec-websocket-extensions", self._answer.encode("latin-1")))
        for name, value in headers:
            if name.lower().startswith((b"sec-websocket-", b"upgrade")):
                raise ResponseError(f"{name!r} is the server's to send: give a subprotocol")
            fields.append((name, value))
        known = encode_fields(200, fields)
        always = self.wire.common_fields()
        for name in known.overrides:
            always = without(always, name)
        block = known.block.partition(b"\r\n")[2]
        return b"HTTP/1.1 101 Switching Protocols\r\n%b%b\r\n" % (block, always)

    # How it ends.

    def half_closed(self) -> None:
        self._half_closed = True
        super().half_closed()

    def _left_unanswered(self) -> None:
        if self._socket is None:
            super()._left_unanswered()
        else:
            self._socket.close(1000, "")

    def _give_up(self) -> None:
        if self._socket is None:
            super()._give_up()
        elif not self.complete:
            self._socket.close(INTERNAL_ERROR, "")


class UnavailableExchange(Exchange):
    """The answer to a handshake where the `websockets` package isn't installed."""

    __slots__ = ()

    async def call(self) -> None:
        logger.warning(
            "a WebSocket was refused, because the `websockets` package isn't installed: "
            "pip install 'nbio[websockets]'"
        )
        self.send_all(501, [TEXT], b"WebSocket isn't available on this server\n")


def payload(message: Message) -> bytes | str:
    """What a websocket.send says. Raises ResponseError."""
    data: Any = message.get("bytes")
    text: Any = message.get("text")
    if (data is None) == (text is None):
        raise ResponseError("websocket.send has either bytes or text")
    if text is None:
        return as_bytes(data)
    if not isinstance(text, str):
        raise ResponseError(f"the text of websocket.send is str, not {type(text).__name__}")
    return text


def open_exchange(
    site: AsgiSite, wire: Wire, head: RequestHead, body: BodyReader | None, peer: Peer
) -> Exchange:
    """Make the exchange for a handshake."""
    try:
        import nbio.websocket_frames  # noqa: F401 (to see whether it can be)
    except ImportError:
        return UnavailableExchange(wire, head, body)
    return WebSocketExchange(site, wire, head, body, peer)
