"""A real server for a test: a socket on an ephemeral port, in a thread of its own."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from nbio.pool import BodyPool
from nbio.server import AnyApp, Server, loop_factory
from nbio.testing import check

R = TypeVar("R")

PATIENCE: Final = 30.0
"""Seconds that starting and stopping may take, each."""


class Served:
    """A server that runs; made by `serve`."""

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        self.server = server
        self.loop = loop

    @property
    def url(self) -> str:
        """The URL of the root, without a slash at its end."""
        return self.server.url

    @property
    def host(self) -> str:
        """The address it listens on."""
        return self.server.addresses[0][0]

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self.server.port

    @property
    def pool(self) -> BodyPool:
        """The pool of its request bodies."""
        return self.server.pool

    def run(self, coroutine: Coroutine[Any, Any, R]) -> R:
        """Run a coroutine on the server's loop, and wait for it.

        Raises what it raises, TimeoutError after PATIENCE.
        """
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(PATIENCE)


@contextmanager
def serve(app: AnyApp | str, **options: Any) -> Iterator[Served]:
    """Serve `app` while the block runs; options are those of `Server`, and the port is a free one.

    Raises what `Server.start` raises; PoolImbalance at the end for a body or block that isn't
    back, which says where it was acquired.
    """
    if "config" not in options:
        options = {"port": 0, **options}
    loop = (loop_factory() or asyncio.new_event_loop)()
    thread = threading.Thread(target=loop.run_forever, name="nbio-testing", daemon=True)
    thread.start()
    try:
        # Made in its loop, as everywhere.
        server = asyncio.run_coroutine_threadsafe(_started(app, options), loop).result(PATIENCE)
        try:
            yield Served(server, loop)
        finally:
            asyncio.run_coroutine_threadsafe(server.stop(), loop).result(PATIENCE)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE)
        loop.close()
    check(server.pool)


async def _started(app: AnyApp | str, options: dict[str, Any]) -> Server:
    server = Server(app, **options)
    await server.start()
    return server
