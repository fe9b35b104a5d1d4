"""A real call beside what the reference has of it, and what it reads, one thing at a time."""

import asyncio
from typing import Final

from nbio.body import BodyReader
from nbio.views import BodyViews
from tests.machines.conversation import Called
from tests.machines.stage import Call, Loop, Order, outcome

PENDING: Final = object()
"""A reading hasn't come to its end."""


class Pair:
    """One request: its handler, and after that its leftovers."""

    def __init__(self, call: Call, called: Called) -> None:
        self.call, self.called = call, called
        self.touched = called.message.chunked or called.message.length > 0
        self.ended = False
        self.iterator: BodyViews | None = None
        self.closing = False
        """Closed while a view is out, which is still to come back."""
        self.reading, self.size, self.since = "", 0, 0
        self.result: object = PENDING
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def out(self) -> bool:
        """Its body's slot isn't back."""
        return self.touched and (self.called.shut < 0 or self.closing)

    def begin(self, how: str, size: int) -> None:
        """A reading begins."""
        self.reading, self.size, self.since = how, size, self.called.taken
        self.result = PENDING
        self.touched = True

    def give(self, loop: Loop, order: Order) -> None:
        """Let the handler do it, or a task that outlived the handler."""

        async def noted(body: BodyReader) -> None:
            self.result = await outcome(order, body)

        if self.ended:
            self._tasks.append(loop.create_task(noted(self.call.request.body)))
        else:
            self.call.tell(noted)

    def order(
        self, how: str, size: int, keep: bool, hold: bool, kept: list[tuple[memoryview, bytes]]
    ) -> Order:
        """The reading as a function of the body; what it comes to is always bytes, or an error."""

        async def read(body: BodyReader) -> bytes:
            return await body.read(size)

        async def rest(body: BodyReader) -> bytes:
            return await body.read()

        async def into(body: BodyReader) -> bytes:
            target = bytearray(b"\xff" * size)
            count = await body.readinto(target)
            assert target[count:] == b"\xff" * (size - count), "written beyond what it says"
            return bytes(target[:count])

        async def view(body: BodyReader) -> bytes:
            # The next step ends the one before.
            views, self.iterator, self.closing = self.iterator or body.views(), None, False
            try:
                seen = await anext(views)
            except StopAsyncIteration:
                return b""
            assert seen.readonly
            copy = bytes(seen)
            if keep:
                kept.append((seen[: len(seen) // 2 + 1], copy[: len(seen) // 2 + 1]))
            if hold:
                self.iterator = views
            else:
                await views.aclose()
            return copy

        return {"read": read, "rest": rest, "into": into, "view": view}[how]

    def end_view(self) -> None:
        """The iterator's lease comes back."""
        views, self.iterator = self.iterator, None
        if views is not None:
            views._end()
        self.closing = False

    def end(self, loop: Loop) -> None:
        """Its handler has come to its end; what isn't detached is taken back, views too."""
        self.ended = True
        if not self.called.detached_open:
            self.iterator = None
            self.closing = False
