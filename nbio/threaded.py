"""Synchronous native handlers: `def handler(request)`, in a worker thread.

The loop does no more for such a request than to hand it to a thread, and to send what came of it.
So there is no task, unless the response takes its time.
"""

from collections.abc import Callable
from typing import ClassVar

from nbio.body import BodyReader
from nbio.exchange import Peer, Wire
from nbio.heads import RequestHead
from nbio.hub import Hub
from nbio.native import NativeExchange, NativeSite, Request, Response, SlowBody, SyncHandler
from nbio.workers import Job


class ThreadedSite(NativeSite):
    """A synchronous handler, and what all its requests need."""

    __slots__ = ("_sync",)

    def __init__(self, handler: SyncHandler, threads: int) -> None:
        super().__init__(handler, threads)
        self._sync = handler

    def exchange(
        self,
        wire: Wire,
        head: RequestHead,
        body: BodyReader | None,
        peer: Peer,
    ) -> "ThreadedExchange":
        """Make the exchange for a request."""
        return ThreadedExchange(self, self._sync, wire, head, body, peer)


class ThreadedExchange(NativeExchange):
    """A request to a synchronous handler."""

    __slots__ = ("_handler", "_hub", "_slow")
    begins_at_once: ClassVar[bool] = True
    _hub: Hub

    def __init__(
        self,
        site: ThreadedSite,
        handler: SyncHandler,
        wire: Wire,
        head: RequestHead,
        body: BodyReader | None,
        peer: Peer,
    ) -> None:
        super().__init__(site, wire, head, body, peer)
        self._handler = handler
        # What is sent by a task.
        self._slow: tuple[Response, SlowBody] | None = None

    def begin(self, hub: Hub) -> None:
        if self.over:
            # Given up before its turn came.
            return
        self._hub = hub
        # What it says it returns isn't believed yet.
        handler: Callable[[Request], object] = self._handler
        job = Job(handler, Request(self), self._landed, hub.context.copy())
        self._site.workers.submit(job, hub.loop)

    def _landed(self, job: Job[Request, object]) -> None:
        """The handler has returned, or raised."""
        if self.over:
            # Given up meanwhile.
            return
        try:
            if job.error is not None:
                self._crashed(job.error)
            elif (slow := self.answer(job.result)) is not None:
                assert isinstance(job.result, Response), "any other was refused"
                self._slow = (job.result, slow)
                self.task = self._hub.start_task(self.run())
                return
        except BaseException as error:
            self._crashed(error)
            if not isinstance(error, Exception):
                self._hub.end_loop(error)
        self.close()

    async def call(self) -> None:
        assert self._slow is not None, "the handler has returned it"
        await self.answer_slowly(*self._slow)

    def cancel(self) -> None:
        if self.task is None:
            # Its thread can't be stopped; whatever it returns comes too late.
            self.close()
        super().cancel()
