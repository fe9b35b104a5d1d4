"""The server as a library: `Server` inside somebody's loop, `run` for a process of its own."""

import asyncio
import contextlib
import gc
import logging
import signal
import ssl
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeAlias

from nbio.asgi import App, AsgiSite
from nbio.config import Config
from nbio.errors import NbioError
from nbio.hub import Hub
from nbio.lifespan import Lifespan, first_of
from nbio.listening import Listening, Places
from nbio.loading import load, made, site_for
from nbio.native import Handler
from nbio.pool import BodyPool, PoolStats
from nbio.tls import TlsError, load_certificate, make_context
from nbio.wsgi import WsgiApp

logger = logging.getLogger("nbio")

AnyApp: TypeAlias = App | WsgiApp | Handler
"""An application, in one of the interfaces."""


class Server:
    """A server for one application.

    `app` is an ASGI or WSGI application, a native handler, or a "module:app" reference to one;
    options are those of `Config`, as a `config` or as keyword arguments. `ssl_context` serves TLS
    by a context of the caller's own; `places` are sockets that listen already.

    Raises AppError for what is no application, ValueError or TypeError for a wrong option.
    """

    def __init__(
        self,
        app: AnyApp | str,
        config: Config | None = None,
        *,
        ssl_context: ssl.SSLContext | None = None,
        places: Places | None = None,
        **options: Any,
    ) -> None:
        if config is not None and options:
            raise TypeError("give either a config or options, not both")
        self.config = config if config is not None else Config(**options)
        found = load(app) if isinstance(app, str) else app
        self._site = site_for(made(found) if self.config.factory else found, self.config)
        self._ssl = ssl_context
        self._places = places
        self._hub: Hub | None = None
        self._listening: Listening | None = None
        self._lifespan: Lifespan | None = None
        self._stop = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        # Where it listens: (host, port) pairs, (path, 0) of Unix sockets; once it has started.
        self.addresses: list[tuple[str, int]] = []

    @property
    def interface(self) -> str:
        """ "asgi", "wsgi" or "native"."""
        return self._site.interface

    @property
    def port(self) -> int:
        """The port it listens on. Raises NbioError before it has started."""
        if not self.addresses:
            raise NbioError("the server has no port before it has started")
        return self.addresses[0][1]

    @property
    def url(self) -> str:
        """The URL of its root, by its first address; of a Unix socket unix:PATH."""
        return self.urls[0]

    @property
    def urls(self) -> list[str]:
        """The URL of its root by every address. Raises NbioError before it has started."""
        if self._listening is None:
            raise NbioError("the server has no address before it has started")
        return self._listening.urls

    @property
    def pool(self) -> BodyPool:
        """The pool of request bodies. Raises NbioError before the server has started."""
        if self._hub is None:
            raise NbioError("the server has no pool before it has started")
        return self._hub.pool

    @property
    def requests(self) -> int:
        """The number of requests so far, without those refused in their head."""
        return self._hub.requests if self._hub is not None else 0

    async def start(self) -> None:
        """Start the application, then listen.

        Raises StartupFailed when the application doesn't start, OSError when the address can't
        be listened on.
        """
        config = self.config
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._hub = hub = Hub(config, self._site, loop)
        if isinstance(self._site, AsgiSite):
            self._lifespan = Lifespan(self._site.app, config.lifespan)
            await self._lifespan.startup()
            if self._lifespan.supported:
                self._site.state = self._lifespan.state
        self._site.begin(hub.pool)
        try:
            if self._ssl is None:
                self._ssl = make_context(config)
            self._listening = listening = Listening(hub, self._ssl, self._places)
            listening.enough = self.shutdown
            await listening.start()
        except BaseException:
            await self._end_lifespan()
            raise
        hub.start()
        self.addresses = listening.addresses

    async def stop(self) -> None:
        """Stop listening, let requests finish within the shutdown timeout, stop the application.

        Connections that the kernel has queued are accepted and served first: their clients were
        told that they are connected.
        """
        listening, self._listening = self._listening, None
        hub = self._hub
        if listening is None or hub is None:
            return
        queued = listening.stop()
        await hub.shut_down(self.config.shutdown_timeout, queued, listening.join)
        await self._end_lifespan()
        listening.note(hub.pool.stats())
        hub.stop()
        self._site.end()
        logger.info("%s", balance(hub.pool.stats()))

    def reload_certificates(self) -> None:
        """Read the certificate and key again; handshakes from here on use them.

        What can't be used is logged, and those in use are kept.
        """
        if self._ssl is None or not self.config.ssl_certfile:
            logger.info("there is no certificate to reload")
            return
        try:
            load_certificate(self._ssl, self.config)
        except TlsError as error:
            logger.error("the certificate in use is kept: %s", error)
        else:
            logger.info("reloaded %s", self.config.ssl_certfile)

    async def serve(self) -> None:
        """Start, serve until `shutdown` or a cancellation, and stop. Raises what `start` raises."""
        starting = asyncio.ensure_future(self.start())
        stopping = asyncio.ensure_future(self._stop.wait())
        try:
            await first_of(starting, stopping)
            if starting.done():
                starting.result()
                self._announce()
                await stopping
        finally:
            stopping.cancel()
            starting.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await starting
            await self.stop()

    def shutdown(self, *, now: bool = False) -> None:
        """Make `serve` return: requests finish first, or are cut off `now`. Any thread."""
        loop = self._loop
        if loop is None:
            self._stop.set()
            return
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(self._shutdown, now)

    def _shutdown(self, now: bool) -> None:
        self._stop.set()
        if now and self._hub is not None:
            self._hub.closing = True
            self._hub.enough.set()

    async def _end_lifespan(self) -> None:
        lifespan = self._lifespan
        if lifespan is None:
            return
        try:
            await asyncio.wait_for(lifespan.shutdown(), self.config.shutdown_timeout or None)
        except TimeoutError:
            logger.error("the application didn't shut down in time")
            lifespan.cancel()

    def _announce(self) -> None:
        logger.info("serving %s on %s", self.interface, ", ".join(self.urls))

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()


def balance(stats: PoolStats) -> str:
    """The pool's books in one line."""
    blocks = stats.blocks
    return (
        f"pool: bodies acquired {stats.acquired}, released {stats.released}, "
        f"outstanding {stats.outstanding}; blocks acquired {blocks.acquired}, "
        f"released {blocks.released}, given up {blocks.given_up}, "
        f"outstanding {blocks.outstanding}; stale closes {stats.stale_closes}, "
        f"double closes {stats.double_closes}, leaks {stats.leaks}"
    )


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's, where it is installed."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


class Signals:
    """SIGINT and SIGTERM end the server: the first lets requests finish, the second doesn't.

    SIGHUP makes it read its certificates again.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._seen = 0

    def install(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take the signals over. On the main thread; elsewhere they aren't ours."""
        with contextlib.suppress(ValueError, RuntimeError, NotImplementedError):
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, self._caught)
            loop.add_signal_handler(signal.SIGHUP, self._server.reload_certificates)

    def _caught(self) -> None:
        self._seen += 1
        self._server.shutdown(now=self._seen > 1)


def run(
    app: AnyApp | str,
    config: Config | None = None,
    *,
    ssl_context: ssl.SSLContext | None = None,
    places: Places | None = None,
    **options: Any,
) -> None:
    """Serve `app` in this process until SIGINT or SIGTERM. Arguments and errors as `Server`."""
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        # Made inside its loop, so that the application is imported there too.
        server = runner.run(
            make(lambda: Server(app, config, ssl_context=ssl_context, places=places, **options))
        )
        runner.run(main(server))
    if server.config.print_balance:
        print(balance(server.pool.stats()), flush=True)


async def make(factory: Callable[[], Server]) -> Server:
    """Make the server inside its loop."""
    return factory()


async def main(server: Server) -> None:
    """Serve until a signal."""
    Signals(server).install(asyncio.get_running_loop())
    # What was imported stays: the collector needn't look at it again at every full collection.
    gc.collect()
    gc.freeze()
    await server.serve()


def configure_logging(config: Config) -> None:
    """Log to standard error, for a process that has no logging of its own; access to output."""
    logging.basicConfig(
        stream=sys.stderr,
        level=config.log_level.upper(),
        format="%(levelname)s %(message)s",
    )
    access = logging.getLogger("nbio.access")
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    access.addHandler(handler)
    access.setLevel(logging.INFO)
    access.propagate = False
