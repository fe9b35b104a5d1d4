"""A connection: the loop's callbacks, and the order in which things are received and answered.

Bytes go from the kernel into the hub's scratch buffer (heads, small bodies) or straight into a
pooled block (large bodies), through the sans-IO `Receiver`, to an exchange's task. One exchange
at a time; the next request's head is parsed when the response before it is complete.
"""

import asyncio
from typing import Final

from nbio.body import BodyReader
from nbio.ending import Ending
from nbio.errors import PoolExhausted, Refusal
from nbio.exchange import Address, Exchange, Peer
from nbio.heads import RequestHead
from nbio.http1 import COMPLETE, HEAD
from nbio.hub import NEVER, Hub
from nbio.pace import waiting
from nbio.peers import peer_of
from nbio.proxy import secure
from nbio.responses import CLOSE
from nbio.verdicts import disconnected, verdict

DIRECT: Final = 16384
"""So many bytes of a body must be missing for the kernel to write into a block of its own."""

FIRST_REQUEST: Final = 1.0
"""Seconds that a connection has for the first byte of its first request when the server closes."""

NOBODY: Final = Peer(None, None)


class Connection(Ending):
    """One connection of a client."""

    __slots__ = ("_awaited", "_filling", "_fresh", "_head_begun", "_peer")

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub)
        self._peer = NOBODY
        self._head_begun = False
        # Whether there was no request yet.
        self._fresh = True
        # Whether the last get_buffer lent the spare block.
        self._filling = False
        # Whether the exchange has not begun, since it wants its body to be here.
        self._awaited = False

    # Called by the loop.

    # A stream's transport is both readable and writable, which the base class can't say; and
    # uvloop's isn't an instance of asyncio.Transport, so nothing could be asserted here either.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._peer = peer_of(transport)
        hub = self._hub
        full = len(hub.connections) >= hub.config.max_connections
        hub.connections.add(self)
        if hub.arriving:
            hub.arriving.pop(self, None)
        self.deadline = hub.now + hub.config.head_timeout
        if full:
            self._refuse(503, "too many connections")

    def introduce(self, client: Address | None, server: Address | None) -> None:
        """The other end is a proxy's, and said whose connection this is."""
        self._peer = Peer(client, server, self._peer.scheme, self._peer.tls)

    def connection_lost(self, exc: Exception | None) -> None:
        self._hub.remove(self)
        self._lingering = True
        self._out = None
        if self.body is not None and self._receiver.state != COMPLETE:
            self.body.fail(disconnected(self.body.request))
        self.body = None
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            self._lose(exchange)
        self._wake_writers()

    def get_buffer(self, sizehint: int) -> memoryview:
        if self.body is not None and not self._lingering and not self._awaited:
            missing = self._receiver.direct
            if missing >= DIRECT:
                block = self._hub.take_spare(self.body, missing)
                if block is not None:
                    self._filling = True
                    # Never more than this body's bytes: a view of a block reaches all of it.
                    view = memoryview(block)
                    return view if missing >= len(block) else view[:missing]
        self._filling = False
        return self._hub.scratch_view

    def buffer_updated(self, nbytes: int) -> None:
        hub = self._hub
        receiver = self._receiver
        if self._lingering:
            self._discard(nbytes)
            return
        if receiver.state == HEAD:
            # Most often, and no body's that could be refused.
            receiver.keep(hub.scratch_view[:nbytes].tobytes())
            self._next_request()
            return
        try:
            if self._filling:
                assert hub.spare is not None, "get_buffer lent it"
                hub.spare, pause = receiver.filled(hub.spare, nbytes)
            else:
                pause = receiver.receive(hub.scratch, nbytes)
        except (Refusal, PoolExhausted) as error:
            self._refuse_body(error)
            return
        self._received(pause)

    def eof_received(self) -> bool:
        """The client sends no more. It may still want its answers."""
        self._eof = True
        if self._lingering:
            return False
        if self.exchange is None and self.body is None:
            # Requests that wait until it has read their predecessors' responses have theirs.
            return self.write_paused and self._receiver.begun
        if self._receiver.state != COMPLETE:
            self._refuse_body(Refusal(400, "the body ended early"), gone=True)
        elif self.exchange is not None:
            self.exchange.half_closed()
        return not self._transport.is_closing()

    # Receiving.

    def _next_request(self) -> None:
        """Start the next request, if its head is here. The receiver is at a head."""
        hub = self._hub
        receiver = self._receiver
        if self.write_paused:
            # The client doesn't read its responses. More of them would be kept in memory, and
            # what it sends meanwhile too: its next request is looked at in `resume_writing`.
            self._pause()
            return
        try:
            head = receiver.next_head()
        except Refusal as error:
            self._refuse(*verdict(error), to_head=error.of_head)
            return
        if head is None:
            self._await_head()
            return
        if head.https and not secure(self._peer, hub.config):
            self._refuse(
                421, "https isn't served on this connection", to_head=head.method == "HEAD"
            )
            return
        self.deadline = NEVER
        self._fresh = False
        hub.requests += 1
        body = None
        if receiver.state != COMPLETE:
            body = self._acquire_body(head)
            if body is None:
                return
        exchange = hub.site.exchange(self, head, body, self._peer)
        self.exchange = exchange
        if body is not None:
            if head.expects:
                body.asks = exchange.ask_for_body
            if not self._start_body(body):
                return
            if exchange.wants_whole and not self._whole(exchange, body):
                return
        hub.begin(exchange)

    def _await_head(self) -> None:
        """No head yet: answer what was held back, and wait for the rest."""
        if self._out:
            self._flush()
        self._resume()
        if self._eof or (self._hub.closing and not self._receiver.begun):
            self._close()
        elif not self._receiver.begun:
            self._idle()
        elif not self._head_begun:
            # From its first byte on; one more byte doesn't give more time.
            self._head_begun = True
            self._head_deadline()

    def _acquire_body(self, head: RequestHead) -> BodyReader | None:
        """A body for this request; None, and a refusal sent, when there is none left."""
        hub = self._hub
        request = f"{head.method} {head.path.decode('ascii')}"
        try:
            body = hub.pool.acquire(request, loop=hub.loop, on_resume=self._resume_body)
        except PoolExhausted:
            to_head = head.method == "HEAD"
            self._refuse(503, "too many request bodies at once", to_head=to_head)
            return None
        self.body = body
        self._dropped = 0
        self._body_deadline()
        return body

    def _start_body(self, body: BodyReader) -> bool:
        """Feed the body what came with the head; False when that is refused."""
        try:
            pause = self._receiver.start_body(body)
        except (Refusal, PoolExhausted) as error:
            # So early that the application needn't hear of it.
            self.body = None
            body.release()
            self._refuse(*verdict(error))
            return False
        if self._paused and not pause and self._receiver.state != COMPLETE:
            # It was the requests behind the one before that were too many.
            self._resume()
        self._received(pause)
        return True

    def _received(self, pause: bool) -> None:
        """Bytes of a body, or of later requests, were taken in."""
        if self._awaited and self.body is not None and self._too_long(self.body.received):
            return
        if self._receiver.state == COMPLETE:
            if self.body is not None:
                self._body_complete()
            # Reading goes on with the next request, so there must be one that is under way.
            pipelined = len(self._receiver.pending)
            if pipelined > self._hub.config.max_pipelined and self.exchange is not None:
                self._pause()
            return
        # Nobody makes room in one that is awaited.
        if pause and not self._awaited:
            self._pause()
        body = self.body
        # Nobody may want it any more. A little of it is received to keep the connection.
        unwanted = self.exchange is None and body is not None and body.closed
        if unwanted and body is not None and body.dropped > self._hub.config.max_drain:
            self._close()

    def _whole(self, exchange: Exchange, body: BodyReader) -> bool:
        """Whether all of the body is here; if not, the exchange begins when it is."""
        self._awaited = True
        if self._too_long(max(exchange.head.length, body.received)):
            return False
        if self._receiver.state == COMPLETE:
            self._awaited = False
            return True
        self._hub.running.add(exchange)
        self._resume()
        exchange.send_continue()
        return False

    def _too_long(self, size: int) -> bool:
        """Refuse a body of so many bytes, if that is more than may be held of one."""
        config = self._hub.config
        most = config.high_water * config.block_size
        if size > most:
            self._refuse_body(Refusal(413, f"the body is longer than {most} bytes"))
        return size > most

    def resume_writing(self) -> None:
        super().resume_writing()
        waits = self._receiver.state == HEAD and self._receiver.begun
        if waits and self.exchange is None and not self._lingering:
            self._read_on()
            self._next_request()

    def _body_complete(self) -> None:
        self.body = None
        if not self.write_paused:
            self.deadline = NEVER
        exchange = self.exchange
        if exchange is not None:
            # Nobody waits for a 100 (Continue) any more.
            exchange.head.expects = False
        if self._hub.spare is not None:
            self._hub.loop.call_soon(self._hub.return_spare)
        if self._awaited:
            self._awaited = False
            if exchange is not None:
                self._hub.begin(exchange)
        elif exchange is None and not self._lingering:
            self._advance()

    def _resume_body(self) -> None:
        """Called by the body when its reader has made room, or closed it."""
        if self.body is None or not self.body.paused:
            self._resume()

    def _refuse_body(self, error: Exception, *, gone: bool = False) -> None:
        """The rest of the body won't come, or won't be taken."""
        status, why = verdict(error)
        self._fail_body(status, why, gone)
        exchange, self.exchange = self.exchange, None
        if exchange is None:
            # Answered already.
            self._close(clean=False)
            return
        started = exchange.framing is not None
        self._lose(exchange)
        if started:
            self.abort()
        else:
            self._refuse(status, why, to_head=exchange.head.method == "HEAD")

    def _lose(self, exchange: Exchange) -> None:
        """Nothing can be sent any more; that is the end of one that hasn't begun."""
        exchange.lost()
        if self._awaited:
            self._awaited = False
            exchange.close()

    # Ending.

    def may_persist(self, complete: bool) -> bool:
        if self._hub.closing:
            return False
        if not complete or self.body is None or self.body.detached:
            return True
        return self._receiver.remaining <= self._hub.config.max_drain

    def done(self, exchange: Exchange) -> None:
        if self.exchange is not exchange:
            return
        self.exchange = None
        framing = exchange.framing
        if framing is None or not framing.keep_alive:
            # A detached body is still received, unless its client may be waiting: for a 100 that
            # never came, or for an end that only closing tells.
            body = self.body
            self._last = body is not None and body.detached and not exchange.head.expects
            if not self._last or framing is None or framing.kind == CLOSE:
                self._close()
        elif self._receiver.state == COMPLETE:
            self._advance()
        elif self.body is not None and not self.body.detached:
            if self._receiver.remaining > self._hub.config.max_drain:
                self._close()
            else:
                self._resume()

    def _advance(self) -> None:
        """The message and its response are complete: on to the next one."""
        receiver = self._receiver
        receiver.next_message()
        self._head_begun = False
        if self._paused:
            self._read_on()
        if self._hub.closing or self._last:
            self._close()
        elif receiver.pending:
            self._next_request()
        elif self._out or self._eof:
            self._await_head()
        else:
            self._idle()

    def _read_on(self) -> None:
        """Receive more requests, unless enough of them are here: each would bring some more."""
        if len(self._receiver.pending) <= self._hub.config.max_pipelined:
            self._resume()

    def ended(self, exchange: Exchange) -> None:
        self._hub.ended(exchange)

    def shut_down(self) -> None:
        """The server is closing: an idle connection closes now, others with their response.

        One whose next request is here, if only in the kernel, isn't idle; nor is one that was
        just accepted, whose first request is on its way.
        """
        if self.exchange is not None or self.body is not None or self._receiver.begun:
            return
        if self._fresh:
            self.deadline = min(self.deadline, self._hub.now + FIRST_REQUEST)
        elif not self._readable():
            self._close()

    # Time.

    def timed_out(self, now: float) -> None:
        if self.write_paused or (self._lingering and waiting(self._transport)):
            self._write_timed_out()
        elif self._lingering:
            self._end_lingering()
        elif self.body is not None:
            self._body_timed_out(self.body)
        elif self._receiver.begun:
            to_head = self._receiver.pending.startswith(b"HEAD ")
            self._refuse(408, "the request's head didn't arrive in time", to_head=to_head)
        else:
            self._close()

    def _body_timed_out(self, body: BodyReader) -> None:
        arrived = body.received + body.dropped - self._mark
        exchange = self.exchange
        waits = exchange is not None and exchange.head.expects
        # A handler may be slow. But a body that was detached may have been forgotten as well, and
        # then nobody makes room, ever: it has to be read as it would have to arrive.
        stuck = self._paused and exchange is None and body.consumed == self._consumed
        enough = self._paused or waits or arrived >= self._hub.config.body_min_bytes
        if enough and not stuck:
            self._body_deadline()
        else:
            self._refuse_body(Refusal(408, "the request's body came too slowly"))
