"""A connection that speaks WebSocket (RFC 6455, 7692), once the handshake is done.

The frames are the `websockets` package's sans-IO layer's; what is here is the room for them:
how much is taken in before the application wants it, what is sent when, and what each end is
told about how it ended. Payloads don't use the block pool: the parser copies what it is fed
into a buffer of its own, from wherever, and returns a message in bytes of its own.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from websockets.exceptions import InvalidState, ProtocolError
from websockets.extensions import Extension
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from nbio import websocket_codes as codes
from nbio import websocket_plain as plain
from nbio.errors import ClientDisconnected, ResponseError
from nbio.hub import NEVER, Hub
from nbio.pace import taken
from nbio.websocket_parts import CLOSE_TIMEOUT, QUEUED, STEP, Parts, without_pongs

# The package says at INFO that a connection was opened or closed; for a server that is noise.
logger = logging.getLogger("nbio.websocket")
if logger.level == logging.NOTSET:
    logger.setLevel(logging.WARNING)

Message = bytes | str


class FramedConnection(asyncio.BufferedProtocol):
    """One WebSocket connection, from its 101 on. Used on the loop's thread only.

    `on_lost` is called once, when nothing can be sent any more.
    """

    __slots__ = (
        "_arriving",
        "_due",
        "_heard",
        "_hub",
        "_mark",
        "_messages",
        "_on_lost",
        "_opcode",
        "_parts",
        "_paused",
        "_pinged",
        "_plain",
        "_pong",
        "_protocol",
        "_queued",
        "_reader",
        "_shut",
        "_transport",
        "_undone",
        "_unfed",
        "_waiters",
        "deadline",
        "lost",
        "write_paused",
    )

    def __init__(
        self,
        hub: Hub,
        transport: asyncio.Transport,
        extensions: list[Extension],
        on_lost: Callable[[], None],
    ) -> None:
        self._hub = hub
        self._transport = transport
        self._on_lost = on_lost
        self._protocol = ServerProtocol(
            state=State.OPEN, max_size=hub.config.ws_max_size, logger=logger
        )
        self._protocol.extensions = extensions
        # Most frames don't need the parser; with an extension any may.
        self._plain = not extensions
        # Bytes that the parser was fed of a frame that it hasn't returned, and what of one that
        # began as a plain one is still to come.
        self._undone = 0
        self._due = 0
        # Complete messages that the application hasn't asked for yet, and their bytes.
        self._messages: deque[Message] = deque()
        self._queued = 0
        # The message that is arriving.
        self._parts = Parts()
        self._opcode = Opcode.BINARY
        # Received, and not given to the parser yet, because the queue is full; or a plain frame
        # that has arrived in part.
        self._unfed = b""
        self._arriving: plain.Arriving | None = None
        self._paused = False
        self._reader: asyncio.Future[None] | None = None
        self._waiters: list[asyncio.Future[None]] = []
        self.write_paused = False
        # The answer to the last ping, while the client doesn't read.
        self._pong = b""
        self._mark = 0
        # Whether a ping is out, and whether anything came since.
        self._pinged = False
        self._heard = False
        # Whether this end closed first; then messages that still arrive are dropped.
        self._shut = False
        self.lost = False
        self.deadline = NEVER

    def begin(self, pending: bytes, *, ended: bool) -> None:
        """Take the transport over, with what has arrived already."""
        self._hub.connections.add(self)
        self._transport.set_protocol(self)
        self._ping_later()
        if ended:
            self._transport.abort()
        elif self._hub.closing:
            self.shut_down()
        elif pending:
            self._feed(pending)

    # Called by the loop.

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._hub.scratch_view if self._arriving is None else self._arriving.rest()

    def buffer_updated(self, nbytes: int) -> None:
        self._heard = True
        arriving = self._arriving
        if arriving is None:
            data = self._hub.scratch_view[:nbytes].tobytes()
            self._feed(self._unfed + data if self._unfed else data)
        elif arriving.took(nbytes):
            self._arriving = None
            self._complete(plain.KINDS[arriving.kind], arriving.payload())
            self._feed(b"")

    def eof_received(self) -> bool:
        self._protocol.receive_eof()
        self._notice()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self._protocol.receive_eof()
        self._protocol.data_to_send()
        self._hub.remove(self)
        self._on_lost()
        self._notice()
        self._wake_writers()

    def pause_writing(self) -> None:
        self.write_paused = True
        self._mark_write()

    def resume_writing(self) -> None:
        self.write_paused = False
        if self.closing:
            self._close_later()
        else:
            self._ping_later()
            self._transport.write(self._pong)
            self._pong = b""
        self._wake_writers()

    # Receiving.

    @property
    def closing(self) -> bool:
        """Whether a close frame was sent or received, or the connection is lost."""
        protocol = self._protocol
        return self.lost or protocol.state is not State.OPEN

    @property
    def _full(self) -> bool:
        return (
            len(self._messages) >= self._hub.config.ws_max_queue or self._queued >= QUEUED
        ) and not self.closing

    def _feed(self, data: bytes) -> None:
        """Give the parser as much as there is room for, and keep the rest."""
        at = 0
        limit = self._hub.config.ws_max_size
        while at < len(data) and not self._full:
            size = self._plain_at(data, at)
            whole = at + size <= len(data)
            if size and plain.wire_size(limit) >= size and (whole or size <= plain.COLLECTED):
                if whole:
                    self._complete(plain.KINDS[data[at]], plain.plain_payload(data, at, size))
                else:
                    self._arriving = plain.Arriving(data[at:], size)
            else:
                # Of a large message all that is here at one go.
                self._due = self._due or size
                size = min(self._due or STEP, len(data) - at)
                self._parse(data[at : at + size])
            at += size
        self._unfed = data[at:]
        self._send_out()
        self._set_paused(self._full)
        self._notice()

    def _plain_at(self, data: bytes, at: int) -> int:
        """The size of the plain frame that begins here; 0 when none does."""
        if not self._plain or self._undone or self._parts.begun or self._shut or self.closing:
            return 0
        return plain.plain_size(data, at)

    def _parse(self, data: bytes) -> None:
        self._due = max(0, self._due - len(data))
        self._undone += len(data)
        self._protocol.receive_data(data)
        for frame in self._protocol.events_received():
            assert isinstance(frame, Frame), "the handshake is done"
            # A length in more bytes than it needs leaves some over; then all is the parser's.
            self._undone -= plain.wire_size(len(frame.data))
            self._received(frame)

    def _received(self, frame: Frame) -> None:
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
            self._opcode = frame.opcode
        elif frame.opcode is not Opcode.CONT:
            return
        if self._shut:
            return
        whole = self._parts.take(bytes(frame.data), frame.fin)
        if whole is not None:
            self._complete(self._opcode, whole)

    def _complete(self, opcode: Opcode, data: bytes) -> None:
        """A message is here."""
        message: Message = data
        if opcode is Opcode.TEXT:
            try:
                message = data.decode()
            except UnicodeDecodeError as error:
                self._protocol.fail(codes.INVALID_DATA, f"{error.reason} at position {error.start}")
                self._shut = True
                return
        self._messages.append(message)
        self._queued += len(data)

    def _set_paused(self, paused: bool) -> None:
        if paused != self._paused and not self._transport.is_closing():
            self._paused = paused
            if paused:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def _notice(self) -> None:
        """Wake the application, if there is anything for it."""
        reader = self._reader
        if reader is not None and (self._messages or self.closing) and not reader.done():
            reader.set_result(None)

    async def receive(self) -> Message | None:
        """Wait for a message; None when no more will come. Not by two tasks at once."""
        while not self._messages:
            if self.closing and (self.lost or self._protocol.eof_sent):
                return None
            self._reader = self._hub.loop.create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        message = self._messages.popleft()
        self._queued -= len(message) if isinstance(message, bytes) else len(message.encode())
        if self._paused and not self._full:
            self._feed(self._unfed)
        return message

    @property
    def ended(self) -> tuple[int, str]:
        """The close code and reason that the application is told."""
        close = self._protocol.close_rcvd or self._protocol.close_sent
        return (close.code, close.reason) if close is not None else (codes.ABNORMAL, "")

    # Sending.

    async def send(self, message: Message) -> None:
        """Send a message, and wait while the client is slow.

        Raises ClientDisconnected after a close or a loss.
        """
        text = isinstance(message, str)
        data = message.encode() if isinstance(message, str) else message
        if self._plain and not self.closing:
            self._transport.write(plain.plain_frame(plain.TEXT if text else plain.BINARY, data))
        else:
            self._send_by_protocol(data, text)
        if self.write_paused:
            waiter: asyncio.Future[None] = self._hub.loop.create_future()
            self._waiters.append(waiter)
            await waiter

    def _send_by_protocol(self, data: bytes, text: bool) -> None:
        try:
            if text:
                self._protocol.send_text(data)
            else:
                self._protocol.send_binary(data)
        except InvalidState:
            raise ClientDisconnected(
                "the WebSocket is closed (code {}, {!r})".format(*self.ended)
            ) from None
        self._send_out()

    def close(self, code: int, reason: str) -> None:
        """Start the closing handshake, unless it has started.

        Raises ResponseError for a code or reason that can't be sent.
        """
        if self.closing:
            return
        try:
            self._protocol.send_close(code, reason)
        except ProtocolError as error:
            raise ResponseError(f"a close code {code} with reason {reason!r}: {error}") from None
        self._send_out()
        # The answer may be behind messages, which nobody wants any more.
        self._shut = True
        if self._arriving is not None:
            # The parser is to find what is behind that frame.
            self._unfed, self._arriving = self._arriving.so_far, None
        self._feed(self._unfed)

    def _send_out(self) -> None:
        """Write what the parser has to send, and see to the end when it says so."""
        data = self._protocol.data_to_send()
        if self.write_paused and not self.closing:
            data, self._pong = without_pongs(data, self._pong)
        if not data or self.lost:
            return
        payload = b"".join(data)
        if payload:
            self._transport.write(payload)
        if not data[-1]:
            # Both close frames are out, or one that isn't waited for: the server closes first.
            if self._transport.can_write_eof():
                self._transport.write_eof()
            else:
                self._transport.close()
        if self.closing:
            self._close_later()

    def _wake_writers(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    # Time.

    def _ping_later(self) -> None:
        self._pinged = False
        wait = self._hub.config.ws_ping_interval
        self.deadline = self._hub.now + wait if wait else NEVER

    def _mark_write(self) -> None:
        self._mark = taken(self._transport)
        self.deadline = self._hub.now + self._hub.config.write_timeout

    def _took_enough(self) -> bool:
        return taken(self._transport) - self._mark >= max(1, self._hub.config.write_min_bytes)

    def _close_later(self) -> None:
        unsent = self._transport.get_write_buffer_size()
        wait = self._hub.config.write_timeout if unsent else CLOSE_TIMEOUT
        self.deadline = self._hub.now + wait

    def timed_out(self, now: float) -> None:
        """The deadline has passed."""
        if self.write_paused:
            if self._took_enough():
                self._mark_write()
            else:
                self._transport.abort()
        elif self.closing:
            self._transport.abort()
        elif not self._pinged:
            self._protocol.send_ping(b"")
            self._send_out()
            self._pinged, self._heard, self._mark = True, False, taken(self._transport)
            self.deadline = now + self._hub.config.ws_ping_timeout
        elif self._heard or self._paused or self._took_enough():
            # Any byte shows that somebody is there; ping and pong may be behind large messages,
            # or the pong behind those that the application hasn't taken yet.
            self._ping_later()
        else:
            self._protocol.fail(codes.INTERNAL_ERROR, "keep-alive ping timed out")
            self._send_out()
            self._notice()

    def shut_down(self) -> None:
        """The server is closing."""
        self.close(codes.GOING_AWAY, "the server is shutting down")

    def abort(self) -> None:
        """The server has waited long enough."""
        self._transport.abort()
