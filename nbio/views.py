"""A body's bytes without a copy: an iterator of views, which holds the lease between steps."""

from types import TracebackType
from typing import TYPE_CHECKING, Self

from nbio._lifecycle import OK, VIEW

if TYPE_CHECKING:
    from nbio.body import BodyReader


class BodyViews:
    """An asynchronous iterator of read-only views, one a block's unread bytes.

    A view is valid until the next step; it is then released (using it raises ValueError) and
    its block goes back to the pool. A slice or array made of it that is still alive keeps its
    bytes, and costs the pool that block. The lease ends at the next step, at `aclose`, when
    the iterator is dropped, and at the end of the request; after that a step raises
    BodyClosedError. Bytes of a view that was handed out count as read.

    An object, not an asynchronous generator: leaving a loop over one of those by `break` runs
    its `finally` at some later time, or never.
    """

    __slots__ = ("_body", "_size", "_view")

    def __init__(self, body: "BodyReader") -> None:
        self._body = body
        self._view: memoryview | None = None
        # Bytes under lease; 0 when no lease is out, since no view is empty.
        self._size = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> memoryview:
        """Give the last view back, and wait for the next. Raises what `BodyReader.read` raises."""
        self._end()
        body = self._body
        code = body._lease(VIEW)
        if code != OK and not await body._await_lease(code, VIEW):
            raise StopAsyncIteration
        view, body._view = body._view, None
        assert view is not None
        self._view = view
        self._size = view.nbytes
        return view

    def _end(self) -> None:
        """End the lease, if one is out."""
        size, self._size = self._size, 0
        view, self._view = self._view, None
        if view is not None:
            # A context manager would cost more than all the rest.
            try:  # noqa: SIM105
                view.release()
            except BufferError:
                # An array of it is alive; the block's own probe finds that out too.
                pass
            del view
        if size:
            self._body._unlease(size)

    async def aclose(self) -> None:
        """End the lease. Never raises; without effect when it has ended."""
        self._end()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    def __del__(self) -> None:
        # May run in a locked section, hence the queue; or before there is a size.
        if getattr(self, "_size", 0):
            self._body._pool.defer(self._end)
