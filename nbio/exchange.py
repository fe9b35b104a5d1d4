"""One request and its response, whatever interface the application speaks.

An exchange runs in a task of its own, and is never used again. What it needs of the connection
is the small `Wire` below, so an exchange can be tested without a socket.
"""

import asyncio
import logging
import sys
from collections.abc import Awaitable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol, TypeAlias

from nbio.body import BodyReader
from nbio.errors import ClientDisconnected, ResponseError
from nbio.files import FilePart
from nbio.heads import RequestHead
from nbio.responses import (
    CONTINUE,
    LENGTH,
    WHOLE,
    Framing,
    RawHeaders,
    encode_fields,
    wants_trailers,
    whole,
)
from nbio.waiters import post

if TYPE_CHECKING:
    from nbio.hub import Hub

logger = logging.getLogger("nbio")

EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\n"

JOIN = 32768
"""Bodies up to this many bytes are copied behind their head, to make one write."""


EAGER_TASKS: Final = sys.version_info >= (3, 12)
"""Whether a task can make its first step where it is made."""

Address: TypeAlias = tuple[str, int | None]


class Peer:
    """What a connection's requests have in common: its two ends, and how they talk.

    `client` and `server` are (host, port), (path, None) of a Unix socket, or None; `scheme` is
    "http" or "https"; `tls` is ASGI's tls extension, None without TLS.
    """

    __slots__ = ("client", "scheme", "server", "tls")

    def __init__(
        self,
        client: Address | None,
        server: Address | None,
        scheme: str = "http",
        tls: dict[str, Any] | None = None,
    ) -> None:
        self.client = client
        self.server = server
        self.scheme = scheme
        self.tls = tls


def address(value: object) -> Address | None:
    """A socket's name as ASGI has it; None for an unnamed Unix socket."""
    if isinstance(value, tuple):
        return (value[0], value[1])
    return (value, None) if isinstance(value, str) and value else None


class Wire(Protocol):
    """A connection, as an exchange sees it."""

    __slots__ = ()

    write_paused: bool

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop it lives on. Any thread may ask, also before the exchange's task is known."""

    def write(self, data: bytes) -> None:
        """Send. Never blocks; `write_paused` then says whether to wait for `drained`."""

    def may_send(self) -> bool:
        """Whether anything can be sent at all."""

    def drained(self) -> "asyncio.Future[None]":
        """A future that is done when there is room for more."""

    async def send_file(self, part: FilePart) -> bool:
        """Send the bytes of a file; return False when the client went before it had them."""

    def upgrade(self, response: bytes) -> "tuple[Hub, asyncio.Transport, bytes]":
        """Answer with `response`, and give the transport away, with what came after the head."""

    def common_fields(self) -> bytes:
        """The fields every response has."""

    def may_persist(self, complete: bool) -> bool:
        """Whether another request may follow, if the response is `complete` with this write."""

    def done(self, exchange: "Exchange") -> None:
        """The response is complete."""

    def ended(self, exchange: "Exchange") -> None:
        """Nothing of the application's runs for this exchange any more."""

    def refuse(self, status: int, why: str) -> None:
        """Answer with an error, and close."""

    def abort(self) -> None:
        """Cut the connection, so that the client sees that the response is not complete."""


class Exchange:
    """A request under way. Subclasses say how the application is called."""

    begins_at_once: ClassVar[bool] = EAGER_TASKS
    """Whether `begin` has run the application as far as it goes without waiting."""
    wants_whole: ClassVar[bool] = False
    """Whether it is begun only when its body has wholly arrived, and is refused if that is long."""

    __slots__ = (
        "_gone",
        "body",
        "complete",
        "disconnected",
        "framing",
        "head",
        "over",
        "released",
        "task",
        "wire",
    )

    def __init__(self, wire: Wire, head: RequestHead, body: BodyReader | None) -> None:
        self.wire = wire
        self.head = head
        # None for a request without a body: most have none, and need no slot.
        self.body = body
        # Decided when the response starts; so this also says whether it did.
        self.framing: Framing | None = None
        self.complete = False
        # Whether nothing of the application's runs for it any more.
        self.over = False
        # Whether the body was released; the second time would only cost.
        self.released = False
        # The client is gone, or was told off: nothing can be sent any more.
        self.disconnected = False
        self.task: asyncio.Task[None] | None = None
        self._gone: asyncio.Event | None = None

    def begin(self, hub: "Hub") -> None:
        """Run, in a task of its own."""
        self.task = hub.start_task(self.run())

    async def run(self) -> None:
        """Call the application, and see the request to its end whatever that does."""
        try:
            await self.call()
        except BaseException as error:
            self._crashed(error)
            if not isinstance(error, Exception):
                raise
        else:
            if not self.complete and not self.disconnected:
                self._left_unanswered()
        finally:
            self.close()

    def call(self) -> Awaitable[None]:
        """Call the application and send what it answers."""
        raise NotImplementedError

    def close(self) -> None:
        """The request is over. Also for one whose task never came to run."""
        # This before the body; see NativeExchange.open_body.
        self.over = True
        if self.body is not None and not self.released:
            self.body.release()
        self.wire.ended(self)

    # The response.

    def send_all(self, status: int, headers: RawHeaders, data: bytes) -> None:
        """Send a whole response."""
        self.start(status, headers, data, last=True)
        self.finish()

    def start(
        self, status: int, headers: RawHeaders, data: bytes, *, last: bool, size: int = -1
    ) -> None:
        """Send the head and the first piece of the body, in one write unless it is large.

        `size` is the whole body's length, where it is known before the last piece. Raises
        ResponseError, and has sent nothing then, for what makes no response.
        """
        head = self.head
        wire = self.wire
        keep = head.keep_alive and not head.expects and wire.may_persist(last)
        if last:
            size = len(data)
            if keep and size <= JOIN and head.version == "1.1" and head.method != "HEAD":
                response = whole(status, headers, data, wire.common_fields())
                if response:
                    self.framing = WHOLE
                    wire.write(response)
                    return
        framing = Framing(keep)
        block = framing.head(status, headers, size, head.method, head.version, wire.common_fields())
        payload = framing.body(data, last)
        self.framing = framing
        if len(payload) <= JOIN:
            wire.write(block + payload)
        else:
            wire.write(block)
            wire.write(payload)

    def send_piece(self, data: bytes, *, last: bool) -> None:
        """Send another piece of the body. The response has started.

        Raises ClientDisconnected when the connection is lost.
        """
        framing = self.framing
        assert framing is not None, "a piece follows a start"
        payload = framing.body(data, last)
        if payload:
            if not self.wire.may_send():
                # The loop will say so when it gets its turn, which a stream that never waits
                # doesn't give it.
                self.lost()
                raise ClientDisconnected("the client is gone")
            self.wire.write(payload)

    async def make_way(self, size: int) -> None:
        """After a piece of so many bytes: wait for room, or let others have their turn."""
        framing = self.framing
        if self.wire.write_paused:
            await self.wire.drained()
        elif framing is not None and framing.stint_over(size):
            await asyncio.sleep(0)

    async def send_file(self, status: int, headers: RawHeaders, part: FilePart) -> None:
        """Send a whole response, its body a file, which is closed.

        Raises ClientDisconnected when the client doesn't take all of it, ResponseError when the
        file is shorter than its Content-Length.
        """
        try:
            self.start(status, headers, b"", last=False, size=part.size)
            framing = self.framing
            assert framing is not None, "it has started"
            if framing.kind == LENGTH:
                part.size = min(part.size, framing.left)
                framing.left -= part.size
                if not await self.wire.send_file(part):
                    self.lost()
                    raise ClientDisconnected("the client is gone")
                if framing.left:
                    raise ResponseError(
                        f"the file is {framing.left} bytes shorter than its Content-Length"
                    )
        finally:
            part.close()
        self.finish()

    def send_trailers(self, trailers: RawHeaders) -> None:
        """End a body that has begun, with trailers if the client takes them; then `finish`.

        Raises ResponseError for what can't be a trailer.
        """
        framing = self.framing
        assert framing is not None, "trailers follow a start"
        end = framing.end(trailers if wants_trailers(self.head) else ())
        if end:
            self.wire.write(end)

    def finish(self) -> None:
        """The response is complete: nobody reads the body any more, unless it was detached."""
        self.complete = True
        if self.body is not None:
            self.body.release()
            self.released = True
        if self._gone is not None:
            self._gone.set()
        self.wire.done(self)

    def send_early_hints(self, links: Iterable[bytes]) -> None:
        """Send a 103 (Early Hints; RFC 8297) with these Link values, where the client knows it.

        Raises ResponseError once the response has started, and for what is no field value.
        """
        if self.framing is not None:
            raise ResponseError("early hints come before the response; it has started")
        block = encode_fields(200, [(b"link", link) for link in links]).block
        if self.head.version == "1.1" and not self.disconnected:
            self.wire.write(EARLY_HINTS + block.partition(b"\r\n")[2] + b"\r\n")

    def ask_for_body(self) -> None:
        """The application wants the body, and has to wait for it. Any thread."""
        if self.head.expects:
            post(self.wire.loop, self.send_continue)

    def send_continue(self) -> None:
        """A client that waits for a 100 may send the body now."""
        if self.head.expects:
            self.head.expects = False
            if self.framing is None and not self.disconnected:
                self.wire.write(CONTINUE)

    # The connection's side.

    def lost(self) -> None:
        """Nothing can be sent any more."""
        self.disconnected = True
        if self._gone is not None:
            self._gone.set()

    def half_closed(self) -> None:
        """The client sends no more, and may be gone; the response is still sent."""
        self._expect_gone().set()

    def _expect_gone(self) -> asyncio.Event:
        if self._gone is None:
            self._gone = asyncio.Event()
        return self._gone

    async def wait_gone(self) -> None:
        """Wait until the client is gone, or the response complete."""
        if not self.disconnected and not self.complete:
            await self._expect_gone().wait()

    # What applications do wrong.

    def timed_out(self) -> None:
        """The application has had its time: answer for it, unless its response has begun."""
        if self.framing is not None or self.disconnected:
            return
        logger.error("%s: the application didn't answer in time", self._name())
        self.lost()
        if self.body is not None:
            self.body.release()
        self.wire.refuse(503, "the application didn't answer in time")
        self.cancel()

    def cancel(self) -> None:
        """Stop whatever runs for it, as far as that can be stopped."""
        if self.task is not None:
            self.task.cancel()

    def _name(self) -> str:
        return f"{self.head.method} {self.head.path.decode('ascii')}"

    def _crashed(self, error: BaseException) -> None:
        name = self._name()
        if self.disconnected or isinstance(error, ClientDisconnected):
            # Most often a send or read that failed because of it.
            logger.debug("%s: %r after the client was gone", name, error)
        elif isinstance(error, Exception):
            logger.error("%s: the application raised", name, exc_info=error)
        self._give_up()

    def _left_unanswered(self) -> None:
        logger.error("%s: the application returned without a complete response", self._name())
        self._give_up()

    def _give_up(self) -> None:
        if self.complete or self.disconnected:
            return
        self.disconnected = True
        if self.framing is None:
            self.wire.refuse(500, "Internal Server Error")
        else:
            self.wire.abort()
