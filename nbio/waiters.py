"""Who sleeps until a body has something for it, and how it is woken.

A waiter is registered and taken off under the pool's lock; `wake` is called after the lock, by
whoever took it off, from any thread. A wake-up only says "look again": the woken reader makes
its own step, so one wake-up too many does no harm.
"""

import asyncio
import threading
from typing import Protocol


class Waiter(Protocol):
    """Something asleep."""

    def wake(self) -> None:
        """Wake it. Any thread, any number of times; never raises, never waits."""


def post(loop: asyncio.AbstractEventLoop, callback: "Callback") -> None:
    """Run `callback` on the loop's own thread, soon. A closed loop has nobody to tell."""
    try:
        if asyncio._get_running_loop() is loop:
            loop.call_soon(callback)
        else:
            loop.call_soon_threadsafe(callback)
    except RuntimeError:
        # Only the loop's being closed raises here, and whoever waited died with it.
        if not loop.is_closed():
            raise


class Callback(Protocol):
    def __call__(self) -> object: ...


class LoopWaiter:
    """A coroutine, asleep on a future of the loop it runs on."""

    __slots__ = ("_loop", "future")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[None] = self._loop.create_future()

    def wake(self) -> None:
        if asyncio._get_running_loop() is self._loop:
            self._finish()
        else:
            post(self._loop, self._finish)

    def _finish(self) -> None:
        if not self.future.done():
            self.future.set_result(None)


class ThreadWaiter:
    """A thread, asleep until the waker lets it through."""

    __slots__ = ("_gate",)

    def __init__(self) -> None:
        # Shut until a waker opens it.
        self._gate = threading.Lock()
        self._gate.acquire()

    def sleep(self, timeout: float | None) -> bool:
        """Sleep; False when `timeout` seconds passed first."""
        return self._gate.acquire(timeout=-1 if timeout is None else timeout)

    def wake(self) -> None:
        try:  # noqa: SIM105 (a context manager costs more than the rest)
            self._gate.release()
        except RuntimeError:
            # It is open already.
            pass
