"""Connections that begin with a PROXY preface, which is read before the connection proper."""

import asyncio
import logging
from collections.abc import Callable

from nbio.exchange import Peer, address
from nbio.hub import Hub
from nbio.protocol import Connection
from nbio.proxy import ProxyError, Trust, preface

logger = logging.getLogger("nbio")


class Preface(asyncio.Protocol):
    """Reads the preface of one connection; then the transport is the Connection's.

    A connection that isn't from a trusted proxy, or doesn't begin with a preface within the
    head timeout, is cut: nothing of it reaches the application.
    """

    def __init__(self, hub: Hub, trust: Trust, connect: Callable[[Hub], Connection]) -> None:
        self._hub = hub
        self._trust = trust
        self._connect = connect
        self._transport: asyncio.Transport | None = None
        self._data = b""
        self.deadline = hub.now + hub.config.head_timeout

    # Its transport is both readable and writable, which the base class can't say.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._hub.connections.add(self)
        client = address(transport.get_extra_info("peername"))
        if not self._trust.trusts(client):
            logger.warning("a connection from %s, which isn't a trusted proxy, is cut", client)
            self.abort()

    def data_received(self, data: bytes) -> None:
        self._data += data
        try:
            found = preface(self._data)
        except ProxyError as error:
            logger.warning("a connection is cut: %s", error)
            self.abort()
            return
        if found is not None:
            size, ends = found
            self._hand_over(self._data[size:], ends or (None, None))

    def _hand_over(self, rest: bytes, ends: tuple[object, object]) -> None:
        transport = self._transport
        assert transport is not None, "data comes over a transport"
        connection = self._connect(self._hub)
        self._hub.connections.discard(self)
        transport.set_protocol(connection)
        connection.connection_made(transport)
        if ends != (None, None):
            client, server = (address(end) for end in ends)
            connection.introduce(Peer(client, server))
        while rest and not transport.is_closing():
            buffer = connection.get_buffer(len(rest))
            size = min(len(rest), len(buffer))
            buffer[:size] = rest[:size]
            rest = rest[size:]
            connection.buffer_updated(size)

    def connection_lost(self, exc: Exception | None) -> None:
        self._hub.remove(self)

    # The clock's side.

    def shut_down(self) -> None:
        """The server is closing: nothing is under way here."""
        self.abort()

    def abort(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()

    def timed_out(self, now: float) -> None:
        """The preface didn't come in time."""
        self.abort()
