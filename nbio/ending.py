"""How a connection waits and ends: pauses, deadlines, refusals, and closing without a loss."""

import asyncio
import select
import socket
import struct
from typing import Final

from nbio.body import BodyReader
from nbio.exchange import Exchange
from nbio.http1 import COMPLETE, HEAD
from nbio.hub import NEVER, Hub
from nbio.pace import taken
from nbio.responses import refusal
from nbio.sending import Sending
from nbio.verdicts import body_error

RESET: Final = struct.pack("ii", 1, 0)
"""A socket that lingers for no time ends with a reset."""


LONG_AGO: Final = -(1 << 62)
"""A mark below all that a client can have taken: the first period only begins."""


class Ending(Sending):
    """What `Connection` pauses, waits and closes with."""

    __slots__ = (
        "_consumed",
        "_dropped",
        "_eof",
        "_last",
        "_mark",
        "_paused",
        "body",
        "deadline",
        "exchange",
    )

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub)
        # The exchange whose response isn't complete yet.
        self.exchange: Exchange | None = None
        # The body being received; it may outlive the exchange, to be drained or detached.
        self.body: BodyReader | None = None
        self.deadline = NEVER
        self._paused = False
        self._eof = False
        # Whether it closes when the body of its last request is in.
        self._last = False
        # Bytes of unread bodies thrown away, and of the body in body_timeout's last period.
        self._dropped = 0
        self._mark = 0
        self._consumed = 0

    def common_fields(self) -> bytes:
        return self._hub.common

    def pause_writing(self) -> None:
        self.write_paused = True
        self._mark_write()

    def resume_writing(self) -> None:
        self.write_paused = False
        self.deadline = NEVER
        if self._lingering:
            self._linger_deadline()
        elif self.body is not None and self._receiver.state != COMPLETE:
            self._body_deadline()
        elif self.exchange is None:
            self._head_deadline()
        self._wake_writers()

    def _pause(self) -> None:
        if not self._paused and not self._eof:
            self._paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._paused:
            self._paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()

    def refuse(self, status: int, why: str) -> None:
        self._refuse(status, why, clean=True)

    def _refuse(self, status: int, why: str, *, clean: bool = False, to_head: bool = False) -> None:
        """Answer with an error and close; not clean when the client may still be sending.

        The answer has no content if it is `to_head`, a HEAD.
        """
        if not self._lingering:
            exchange, self.exchange = self.exchange, None
            to_head = to_head or (exchange is not None and exchange.head.method == "HEAD")
            self.write(refusal(status, why, self._hub.common, to_head=to_head))
            self._close(clean=clean)

    def abort(self) -> None:
        # By a reset: a mere end would look like the end of an HTTP/1.0 response.
        self._flush()
        self._lingering = True
        sock = self._transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._transport.abort()

    def _close(self, *, clean: bool = True) -> None:
        """Close after what was written. The response must not be lost to a reset.

        A kernel that receives for a closed socket resets the connection, and the client may
        then lose the response (RFC 9112, 9.6). So while the client may still be sending, only
        our half is closed, and what arrives is thrown away for a while.
        """
        if self._lingering:
            return
        self._flush()
        receiver = self._receiver
        clean = clean and receiver.state in (HEAD, COMPLETE) and not receiver.pending
        receiver.pending = b""
        self._lingering = True
        self._linger_deadline()
        if clean or self._eof or not self._hub.config.linger_timeout:
            self._transport.close()
            self._linger_deadline()
        else:
            self._resume()
            if self._transport.can_write_eof():
                self._transport.write_eof()

    def _end_lingering(self) -> None:
        """The client had its time to read and to close. TLS says goodbye first."""
        if self._transport.is_closing() or self._transport.can_write_eof():
            self._transport.abort()
        else:
            self._transport.close()
            self._linger_deadline()

    def _discard(self, nbytes: int) -> None:
        """Throw away what comes after the last response, and after a while not even that.

        A client that reads while it sends gets the response in either case; a reset by now could
        take it away.
        """
        self._dropped += nbytes
        if self._dropped > self._hub.config.max_drain * 4:
            self._pause()

    def _readable(self) -> bool:
        """Whether bytes that the loop hasn't read yet are waiting in the kernel."""
        sock = self._transport.get_extra_info("socket")
        if sock is None or sock.fileno() < 0:
            return False
        poll = select.poll()
        poll.register(sock.fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def upgrade(self, response: bytes) -> tuple[Hub, asyncio.Transport, bytes]:
        """Answer with `response`, and give the transport away, with what came after the head."""
        self.write(response)
        self._flush()
        self.exchange = None
        self._lingering = True
        pending, self._receiver.pending = self._receiver.pending, b""
        self._resume()
        self._hub.connections.discard(self)
        return self._hub, self._transport, pending

    def _fail_body(self, status: int, why: str, gone: bool) -> None:
        body, self.body = self.body, None
        if body is not None:
            body.fail(body_error(status, why, body.request, gone))

    # Time.

    def _head_deadline(self) -> None:
        hub = self._hub
        if self._receiver.begun:
            self.deadline = hub.now + hub.config.head_timeout
        else:
            self.deadline = hub.idle_deadline

    def _idle(self) -> None:
        if not self.write_paused:
            # Else the response before is still waited for.
            self.deadline = self._hub.idle_deadline

    def _body_deadline(self) -> None:
        body = self.body
        self._mark = body.received + body.dropped if body is not None else 0
        self._consumed = body.consumed if body is not None else 0
        self.deadline = self._hub.now + self._hub.config.body_timeout

    def _mark_write(self) -> None:
        self._mark = taken(self._transport)
        self.deadline = self._hub.now + self._hub.config.write_timeout

    def _write_timed_out(self) -> None:
        """A period of the response is over: the client must have taken enough in it.

        Only what waits to be sent counts. An application may be as slow as it likes.
        """
        least = max(1, self._hub.config.write_min_bytes)
        if taken(self._transport) - self._mark < least:
            self.abort()
        else:
            self._mark_write()

    def _linger_deadline(self) -> None:
        if self._transport.get_write_buffer_size():
            self._mark_write()
        else:
            self._mark = LONG_AGO
            self.deadline = self._hub.now + self._hub.config.linger_timeout
