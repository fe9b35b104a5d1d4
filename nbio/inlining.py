"""Native handlers that run where the request is read: no task, no thread.

    @nbio.inline
    def handler(request: nbio.Request) -> nbio.Response: ...

For handlers that answer from memory. While one runs, the loop and all other requests wait.
"""

import inspect
from collections.abc import Callable
from typing import ClassVar, Final

from nbio.body import BodyReader
from nbio.errors import ClientDisconnected
from nbio.exchange import Peer, Wire
from nbio.heads import RequestHead
from nbio.hub import Hub
from nbio.native import NativeExchange, NativeSite, Request, Response, SlowBody, SyncHandler


class InlineHandler:
    """What `inline` makes of a handler; it can be called like it."""

    __slots__ = ("handler",)

    def __init__(self, handler: SyncHandler) -> None:
        self.handler: Final = handler

    def __call__(self, request: Request) -> Response:
        return self.handler(request)


def inline(handler: SyncHandler) -> InlineHandler:
    """Declare that a plain `def` handler never blocks: it is called on the event loop's thread.

    It is called when the whole body is here, and reads it as in a thread, by
    `body.read_blocking()` or `iter_body()`, which don't wait then; a longer one than
    `high_water` blocks hold is answered 413. It can't await, has no current task, and no
    timeout interrupts it. A response that is a file or a stream is sent as any other's.
    Raises TypeError for a coroutine function.
    """
    if inspect.iscoroutinefunction(handler):
        raise TypeError(f"{handler!r} can await, so it runs in a task: only a plain def is inline")
    return InlineHandler(handler)


class InlineSite(NativeSite):
    """An inline handler, and what all its requests need."""

    __slots__ = ()

    def __init__(self, handler: InlineHandler, threads: int) -> None:
        super().__init__(handler, threads, handler.handler)

    def exchange(
        self,
        wire: Wire,
        head: RequestHead,
        body: BodyReader | None,
        peer: Peer,
    ) -> "InlineExchange":
        """Make the exchange for a request."""
        return InlineExchange(self, wire, head, body, peer)


class InlineExchange(NativeExchange):
    """A request to an inline handler. Only a response that takes its time has a task."""

    __slots__ = ("_slow",)
    begins_at_once: ClassVar[bool] = True
    wants_whole: ClassVar[bool] = True

    _slow: tuple[Response, SlowBody]
    """What the task sends."""

    def begin(self, hub: Hub) -> None:
        # No context variable of one request is seen by another.
        hub.context.copy().run(self._serve, hub)

    def _serve(self, hub: Hub) -> None:
        # What it says it returns isn't believed yet.
        handler: Callable[[Request], object] | None = self._site.inline
        assert handler is not None, "this site has one"
        try:
            if self.disconnected:
                raise ClientDisconnected("the client is gone")
            response = handler(Request(self))
            slow = self.answer(response)
            if slow is not None:
                assert isinstance(response, Response), "any other was refused"
                self._slow = (response, slow)
                self.task = hub.loop.create_task(self.run())
                return
        except BaseException as error:
            self._crashed(error)
            if not isinstance(error, Exception):
                hub.end_loop(error)
        self.close()

    async def call(self) -> None:
        await self.answer_slowly(*self._slow)
