"""Worker threads for synchronous handlers.

Daemon threads of our own, because those of concurrent.futures are joined at exit: one handler
that hangs would keep the process from ending for ever.
"""

import asyncio
import contextlib
import contextvars
import queue
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

A = TypeVar("A")
R = TypeVar("R")
X = TypeVar("X")


class Workers:
    """At most `limit` threads, started when they are needed."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._jobs: queue.SimpleQueue[Job[Any, Any] | None] = queue.SimpleQueue()
        self._threads = 0
        # Both used on the loop's thread only.
        self._busy = 0

    def run(
        self,
        function: Callable[[A], R],
        argument: A,
        ended: Callable[[], None] | None = None,
    ) -> "asyncio.Future[R]":
        """Call `function(argument)` in a thread. Cancelling the future doesn't stop the thread.

        `ended` is called on the loop's thread once the call is over and the future done.
        """
        loop = asyncio.get_running_loop()
        job = Job(function, argument, loop, self._one_done, ended)
        self._busy += 1
        if self._busy > self._threads and self._threads < self._limit:
            self._threads += 1
            name = f"nbio-worker-{self._threads}"
            threading.Thread(target=self._work, name=name, daemon=True).start()
        self._jobs.put(job)
        return job.future

    def _one_done(self) -> None:
        # Also for a job nobody waits for any more: until it ends, its thread is taken.
        self._busy -= 1

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job.run()
            # Not kept until the next job comes: it holds a request.
            del job

    def stop(self) -> None:
        """Let idle threads end; one that is stuck is left to the end of the process."""
        for _ in range(self._threads):
            self._jobs.put(None)
        self._threads = 0


class Job(Generic[A, R]):
    """One call, and the future its caller waits for."""

    __slots__ = ("_argument", "_context", "_done", "_ended", "_function", "_loop", "future")

    def __init__(
        self,
        function: Callable[[A], R],
        argument: A,
        loop: asyncio.AbstractEventLoop,
        done: Callable[[], None],
        ended: Callable[[], None] | None,
    ) -> None:
        self._function = function
        self._argument = argument
        self._loop = loop
        self._done = done
        self._context = contextvars.copy_context()
        self._ended = ended
        self.future: asyncio.Future[R] = loop.create_future()

    def run(self) -> None:
        """Make the call. In the worker's thread."""
        try:
            result = self._context.run(self._function, self._argument)
        except BaseException as error:
            self._post(self._failed, error)
        else:
            self._post(self._succeeded, result)

    def _post(self, callback: Callable[[X], None], value: X) -> None:
        # A closed loop has nobody who waits.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, value)

    def _succeeded(self, result: R) -> None:
        self._done()
        if not self.future.done():
            self.future.set_result(result)
        if self._ended is not None:
            self._ended()

    def _failed(self, error: BaseException) -> None:
        self._done()
        if not self.future.done():
            self._fail(error)
        if self._ended is not None:
            self._ended()

    def _fail(self, error: BaseException) -> None:
        # A future refuses StopIteration, and a thread's SystemExit is no reason to stop a server.
        if isinstance(error, StopIteration) or not isinstance(error, Exception):
            wrapped = RuntimeError(f"the handler raised {error!r}")
            wrapped.__cause__ = error
            error = wrapped
        self.future.set_exception(error)
        if self._ended is not None:
            # Looked at, lest asyncio complain: nobody may wait for it any more.
            self.future.exception()
