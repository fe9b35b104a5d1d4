"""ASGI's lifespan: start-up and shutdown of the application, in one task of its own."""

import asyncio
import logging
from typing import Any

from nbio.asgi import App, Message
from nbio.config import Lifespan as Mode
from nbio.errors import NbioError, ResponseError

logger = logging.getLogger("nbio")


class StartupFailed(NbioError):
    """The application said, or showed by raising, that it can't start."""


class Lifespan:
    """The lifespan of one application. `state` is what it leaves for the requests."""

    def __init__(self, app: App, mode: Mode) -> None:
        self._app = app
        self._mode = mode
        self._task: asyncio.Task[None] | None = None
        self._messages: asyncio.Queue[Message] = asyncio.Queue()
        self._answers: dict[str, asyncio.Future[str]] = {}
        self.state: dict[str, Any] = {}
        # Whether the application knows lifespan at all.
        self.supported = False

    async def startup(self) -> None:
        """Start the application. Raises StartupFailed."""
        if self._mode == "off":
            return
        started = self._expect("startup")
        self._task = asyncio.create_task(self._run())
        await first_of(started, self._task)
        if started.done():
            if failure := started.result():
                await self._join()
                raise StartupFailed(f"the application failed to start: {failure}")
            self.supported = True
            return
        error = None if self._task.cancelled() else self._task.exception()
        if self._mode == "on":
            raise StartupFailed(f"the application doesn't support lifespan: {error!r}")
        logger.debug("lifespan isn't supported by the application: %r", error)

    async def shutdown(self) -> None:
        """Shut the application down. What goes wrong is logged."""
        task = self._task
        if not self.supported or task is None:
            return
        stopped = self._expect("shutdown")
        await first_of(stopped, task)
        if stopped.done() and stopped.result():
            logger.error("the application failed to shut down: %s", stopped.result())
        await self._join()

    def cancel(self) -> None:
        """End it without asking."""
        if self._task is not None:
            self._task.cancel()

    def _expect(self, event: str) -> "asyncio.Future[str]":
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._answers[event] = answer
        self._messages.put_nowait({"type": f"lifespan.{event}"})
        return answer

    async def _join(self) -> None:
        """Wait for the application to return."""
        task = self._task
        if task is None:
            return
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("the application's lifespan raised", exc_info=error)

    async def _run(self) -> None:
        # The lifespan protocol counts its own versions.
        versions = {"version": "3.0", "spec_version": "2.0"}
        scope = {"type": "lifespan", "asgi": versions, "state": self.state}
        await self._app(scope, self._messages.get, self._send)

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        _, event, outcome = f"{kind}..".split(".")[:3]
        answer = self._answers.get(event)
        if answer is None or answer.done() or outcome not in ("complete", "failed"):
            raise ResponseError(f"a message of type {kind!r} can't be sent now")
        failure = (message.get("message") or "no reason given") if outcome == "failed" else ""
        answer.set_result(failure)


async def first_of(*futures: "asyncio.Future[Any]") -> None:
    """Wait until one of them is done, whatever came of it."""
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
