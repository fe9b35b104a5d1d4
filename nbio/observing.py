"""What becomes of each request, for whoever wants to know: the access log, the metrics.

Without observers none of this runs: connections are then plain ones. With them, a connection is an
`Observed` one, which counts what it sends and tells every observer of each request once, when its
response is complete or can't be completed any more.
"""

import asyncio
import os
import time
from collections.abc import Sequence
from typing import Final, Protocol

from nbio.body import BodyReader
from nbio.exchange import Exchange, Peer, Wire
from nbio.files import FilePart
from nbio.heads import RequestHead
from nbio.hub import Hub, Site
from nbio.pool import BodyPool
from nbio.protocol import Connection
from nbio.proxy import Trust

REQUEST_ID: Final = b"x-request-id"
_ID_LIMIT: Final = 128


class Outcome:
    """A request and what became of it.

    `head` is None for a request refused in its head; `status` 0 when nothing was answered; `sent`
    counts the bytes of head and body, `head_size` those of the head and of interim responses
    alone, `received` those of the request's body; `seconds` is from
    the head's arrival to the end; `began` is seconds since the epoch; `complete` says whether the
    whole response was handed to the kernel or its buffer; `response_head` is the response's head.
    """

    __slots__ = (
        "_clock",
        "began",
        "complete",
        "head",
        "head_size",
        "peer",
        "received",
        "request_id",
        "response_head",
        "seconds",
        "sent",
        "span",
        "status",
    )

    def __init__(self, head: RequestHead | None, peer: Peer, request_id: bytes = b"") -> None:
        self.head = head
        self.peer = peer
        self.request_id = request_id
        self.status = self.sent = self.received = self.head_size = 0
        self.response_head = b""
        self.span: Observer | None = None
        self.complete = False
        self.began = time.time()
        self._clock = time.perf_counter()
        self.seconds = 0.0

    def wrote(self, data: bytes) -> None:
        """Bytes of the response; the first that aren't an interim response's tell its status."""
        self.sent += len(data)
        if self.status or data[:5] != b"HTTP/":
            return
        if data[9:10] == b"1" and data[9:12] != b"101":
            self.head_size += len(data)
            return
        self.status = int(data[9:12])
        end = data.find(b"\r\n\r\n") + 2
        self.response_head = data[:end]
        self.head_size += end + 2

    def stop(self) -> None:
        """It is over."""
        self.seconds = time.perf_counter() - self._clock


class Observer(Protocol):
    """Somebody who wants to know."""

    def over(self, outcome: Outcome) -> None:
        """A request is over."""


class Observation:
    """The observers of a server, and what they share."""

    def __init__(self, observers: Sequence[Observer], *, ids: bool, trust: Trust) -> None:
        self.observers = tuple(observers)
        self.ids = ids
        self.trust = trust

    def connect(self, hub: Hub) -> Connection:
        """Make a connection that is observed."""
        return Observed(hub, self)

    def over(self, outcome: Outcome) -> None:
        """Tell everybody."""
        outcome.stop()
        for observer in self.observers:
            observer.over(outcome)

    def request_id(self, head: RequestHead, direct: Peer) -> bytes:
        """The id of a request: a trusted proxy's, or a new one, which then is its field."""
        if not self.ids:
            return b""
        given = [value for name, value in head.headers if name == REQUEST_ID]
        if len(given) == 1 and _is_id(given[0]) and self.trust.trusts(direct.client):
            return given[0]
        made = os.urandom(16).hex().encode()
        others = [field for field in head.headers if field[0] != REQUEST_ID]
        head.headers = [*others, (REQUEST_ID, made)]
        return made


def _is_id(value: bytes) -> bool:
    return 0 < len(value) <= _ID_LIMIT and value.replace(b"-", b"").replace(b"_", b"").isalnum()


class Observing:
    """A site whose requests are told to the observers."""

    __slots__ = ("_site", "interface")

    def __init__(self, site: Site) -> None:
        self._site = site
        self.interface = site.interface

    def begin(self, pool: BodyPool) -> None:
        self._site.begin(pool)

    def end(self) -> None:
        self._site.end()

    def exchange(
        self, wire: Wire, head: RequestHead, body: BodyReader | None, peer: Peer
    ) -> Exchange:
        """Make the exchange for a request, and begin its observation."""
        if isinstance(wire, Observed):
            wire.begins(head, peer)
        return self._site.exchange(wire, head, body, peer)


class Observed(Connection):
    """A connection whose requests are told of."""

    __slots__ = ("_observation", "outcome")

    def __init__(self, hub: Hub, observation: Observation) -> None:
        super().__init__(hub)
        self._observation = observation
        # Of the request whose response isn't complete yet.
        self.outcome: Outcome | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._tell(complete=False)

    def begins(self, head: RequestHead, peer: Peer) -> None:
        """A request begins: its head is here."""
        self._tell(complete=False)
        self.outcome = Outcome(head, peer, self._observation.request_id(head, self._peer))

    def common_fields(self) -> bytes:
        outcome = self.outcome
        if outcome is None or not outcome.request_id:
            return super().common_fields()
        return b"%bx-request-id: %b\r\n" % (super().common_fields(), outcome.request_id)

    def write(self, data: bytes) -> None:
        outcome = self.outcome
        if outcome is not None:
            outcome.wrote(data)
        elif self.exchange is None and data[:5] == b"HTTP/":
            # Refused in its head.
            self.outcome = outcome = Outcome(None, self._peer)
            outcome.wrote(data)
        super().write(data)

    def _refuse(self, status: int, why: str, *, clean: bool = False, to_head: bool = False) -> None:
        answers, exchange = not self._lingering, self.exchange
        super()._refuse(status, why, clean=clean, to_head=to_head)
        if answers:
            if exchange is not None:
                self._count_body(exchange)
            self._tell(complete=True)

    async def send_file(self, part: FilePart) -> bool:
        outcome, size = self.outcome, part.size
        before = outcome.sent if outcome is not None else 0
        whole = await super().send_file(part)
        # Where the kernel sends it, nothing is written here.
        if whole and outcome is not None and outcome.sent == before:
            outcome.sent += size
        return whole

    def upgrade(self, response: bytes) -> tuple[Hub, asyncio.Transport, bytes]:
        # The request is answered; what a WebSocket says is no response.
        answer = super().upgrade(response)
        self._tell(complete=True)
        return answer

    def done(self, exchange: Exchange) -> None:
        self._count_body(exchange)
        self._tell(complete=True)
        super().done(exchange)

    def ended(self, exchange: Exchange) -> None:
        super().ended(exchange)
        if self.exchange is None and self._lingering:
            self._count_body(exchange)
            self._tell(complete=False)

    def _count_body(self, exchange: Exchange) -> None:
        outcome, body = self.outcome, exchange.body
        if outcome is not None and body is not None:
            outcome.received = body.received + body.dropped

    def _tell(self, *, complete: bool) -> None:
        outcome, self.outcome = self.outcome, None
        if outcome is not None:
            outcome.complete = complete
            self._observation.over(outcome)
