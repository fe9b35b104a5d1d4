"""Connections that begin with a PROXY preface, which is read before the connection proper.

With TLS the preface comes in clear, before the handshake (the protocol's specification, section
2). Both loops can make a plain connection one with TLS, but none takes bytes that were read
already; so then the preface is read to its last byte and no further, by lending no larger buffer.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable

from nbio.exchange import address
from nbio.hub import Hub
from nbio.protocol import FIRST_REQUEST, Connection
from nbio.proxy import Ends, ProxyError, Trust, missing, preface
from nbio.tls import UNHURRIED

logger = logging.getLogger("nbio")


class Preface(asyncio.BufferedProtocol):
    """Reads the preface of one connection; then the transport is the Connection's.

    A connection that isn't from a trusted proxy, or doesn't begin with a preface within the
    head timeout, is cut: nothing of it reaches the application. With a `context` TLS follows,
    and the handshake timeout is for both.
    """

    def __init__(
        self,
        hub: Hub,
        trust: Trust,
        connect: Callable[[Hub], Connection],
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._hub = hub
        self._trust = trust
        self._connect = connect
        self._context = context
        self._transport: asyncio.Transport | None = None
        self._data = b""
        self._securing: asyncio.Task[None] | None = None
        config = hub.config
        wait = config.head_timeout if context is None else config.ssl_handshake_timeout
        self.deadline = hub.now + wait

    # Its transport is both readable and writable, which the base class can't say.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._hub.connections.add(self)
        client = address(transport.get_extra_info("peername"))
        if not self._trust.trusts(client):
            logger.warning("a connection from %s, which isn't a trusted proxy, is cut", client)
            self.abort()

    def get_buffer(self, sizehint: int) -> memoryview:
        scratch = self._hub.scratch_view
        return scratch if self._context is None else scratch[: missing(self._data)]

    def buffer_updated(self, nbytes: int) -> None:
        self._data += self._hub.scratch_view[:nbytes]
        try:
            found = preface(self._data)
        except ProxyError as error:
            logger.warning("a connection is cut: %s", error)
            self.abort()
            return
        if found is None:
            return
        size, ends = found
        transport = self._transport
        assert transport is not None, "data comes over a transport"
        if self._context is None:
            self._hand_over(transport, self._data[size:], ends)
        else:
            transport.pause_reading()
            self._securing = self._hub.loop.create_task(self._secure(self._context, ends))

    async def _secure(self, context: ssl.SSLContext, ends: Ends) -> None:
        """Shake hands, then hand over."""
        hub, transport, early = self._hub, self._transport, Early()
        if transport is None or transport.is_closing():
            return
        try:
            secure = await hub.loop.start_tls(
                transport,
                early,
                context,
                server_side=True,
                # Never met: the deadline, which was set before, is as long.
                ssl_handshake_timeout=hub.config.ssl_handshake_timeout,
                ssl_shutdown_timeout=UNHURRIED,
            )
        except OSError:
            # As without a preface: a handshake that fails is nothing to be told of.
            secure = None
        hub.arriving.pop(self, None)
        if secure is None or early.lost or transport.is_closing():
            hub.remove(self)
        else:
            self._hand_over(secure, early.data, ends)
            if early.ended:
                early.pass_on_end(secure)

    def _hand_over(self, transport: asyncio.Transport, rest: bytes, ends: Ends) -> None:
        hub = self._hub
        connection = self._connect(hub)
        hub.connections.discard(self)
        transport.set_protocol(connection)
        connection.connection_made(transport)
        if ends is not None:
            connection.introduce(*ends)
        while rest and not transport.is_closing():
            buffer = connection.get_buffer(len(rest))
            size = min(len(rest), len(buffer))
            buffer[:size] = rest[:size]
            rest = rest[size:]
            connection.buffer_updated(size)
        if hub.closing and not transport.is_closing():
            connection.shut_down()

    def connection_lost(self, exc: Exception | None) -> None:
        self._hub.arriving.pop(self, None)
        self._hub.remove(self)

    # The clock's side.

    def shut_down(self) -> None:
        """The server is closing: what a client has sent may still be on its way."""
        self.deadline = min(self.deadline, self._hub.now + FIRST_REQUEST)

    def abort(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()

    def timed_out(self, now: float) -> None:
        """The preface, or the handshake, didn't come in time."""
        self.abort()


class Early(asyncio.Protocol):
    """What arrives behind a handshake, before anybody was told that it is over."""

    def __init__(self) -> None:
        self.data = b""
        self.ended = False
        self.lost = False

    def data_received(self, data: bytes) -> None:
        self.data += data

    def eof_received(self) -> None:
        self.ended = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True

    def pass_on_end(self, transport: asyncio.Transport) -> None:
        """Tell the connection whose the transport is now that the client sends no more."""
        connection = transport.get_protocol()
        if isinstance(connection, Connection) and not connection.eof_received():
            transport.close()
