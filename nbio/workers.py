"""Worker threads for synchronous handlers.

Daemon threads of our own, because those of concurrent.futures are joined at exit: one handler
that hangs would keep the process from ending for ever.
"""

import asyncio
import contextlib
import contextvars
import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

A = TypeVar("A")
R = TypeVar("R")


class Job(Generic[A, R]):
    """A call of `function(argument)` in a thread, and then of `landed(job)` on the loop's.

    By then it has an `error`, or else a `result`.
    """

    __slots__ = ("_argument", "_context", "_function", "_landed", "error", "landing", "result")
    result: R
    # Known once it was submitted.
    landing: "Landing"

    def __init__(
        self,
        function: Callable[[A], R],
        argument: A,
        landed: "Callable[[Job[A, R]], None]",
        context: contextvars.Context,
    ) -> None:
        self._function = function
        self._argument = argument
        self._landed = landed
        self._context = context
        self.error: Exception | None = None

    def run(self) -> None:
        """Make the call. In the worker's thread."""
        try:
            self.result = self._context.run(self._function, self._argument)
        except BaseException as error:
            self.error = contained(error)

    def land(self) -> None:
        """Tell whoever wanted it. On the loop's thread."""
        self.landing.busy -= 1
        self._landed(self)


def contained(error: BaseException) -> Exception:
    """What the loop is told of an error: a thread's SystemExit is no reason to stop a server."""
    # And a future, as a coroutine, refuses StopIteration.
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    wrapped = RuntimeError(f"the handler raised {error!r}")
    wrapped.__cause__ = error
    return wrapped


class Lands(Protocol):
    """What threads have for the loop."""

    def land(self) -> None:
        """It is there. On the loop's thread."""


class Landing:
    """Where what threads have for a loop lands: it is woken once for all that is there by then."""

    __slots__ = ("_landed", "_waking", "busy", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._landed: deque[Lands] = deque()
        # Set by threads, taken back by the loop before it looks; so what a thread adds after
        # that look comes with a wake-up of its own.
        self._waking = False
        # Jobs that haven't landed. Used on the loop's thread only. A job nobody waits for any
        # more is one of them: until it ends, its thread is taken.
        self.busy = 0

    def add(self, one: Lands) -> None:
        """Have it land. Any thread."""
        self._landed.append(one)
        if not self._waking:
            self._waking = True
            # A closed loop has nobody who waits.
            with contextlib.suppress(RuntimeError):
                self.loop.call_soon_threadsafe(self._land)

    def _land(self) -> None:
        self._waking = False
        landed = self._landed
        count = len(landed)
        try:
            while count:
                count -= 1
                landed.popleft().land()
        finally:
            if count:
                self.loop.call_soon(self._land)


class Workers:
    """At most `limit` threads, started when they are needed. Used on one loop at a time."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._jobs: queue.SimpleQueue[Job[Any, Any] | None] = queue.SimpleQueue()
        self._landing: Landing | None = None
        self._threads = 0

    def submit(self, job: Job[Any, Any], loop: asyncio.AbstractEventLoop) -> None:
        """Have a job done. On the loop's thread; it can't be taken back."""
        landing = self._landing
        if landing is None or landing.loop is not loop:
            self.stop()
            self._jobs = queue.SimpleQueue()
            self._landing = landing = Landing(loop)
        job.landing = landing
        landing.busy += 1
        if landing.busy > self._threads and self._threads < self._limit:
            self._threads += 1
            name = f"nbio-worker-{self._threads}"
            target = (self._jobs, landing)
            threading.Thread(target=work, args=target, name=name, daemon=True).start()
        self._jobs.put(job)

    def run(
        self,
        function: Callable[[A], R],
        argument: A,
        ended: Callable[[], None],
    ) -> "asyncio.Future[R]":
        """Call `function(argument)` in a thread. Cancelling the future doesn't stop the thread.

        `ended` is called on the loop's thread once the call is over and the future done.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[R] = loop.create_future()

        def landed(job: Job[A, R]) -> None:
            if job.error is None:
                if not future.done():
                    future.set_result(job.result)
            elif not future.done():
                future.set_exception(job.error)
                # Looked at, lest asyncio complain: nobody may wait for it any more.
                future.exception()
            ended()

        self.submit(Job(function, argument, landed, contextvars.copy_context()), loop)
        return future

    def stop(self) -> None:
        """Let idle threads end; one that is stuck is left to the end of the process."""
        for _ in range(self._threads):
            self._jobs.put(None)
        self._threads = 0


def work(jobs: "queue.SimpleQueue[Job[Any, Any] | None]", landing: Landing) -> None:
    """Do jobs until there is None. In a thread."""
    while (job := jobs.get()) is not None:
        job.run()
        landing.add(job)
        # Not kept until the next job comes: it holds a request.
        del job
