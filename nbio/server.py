"""The server as a library: `Server` inside somebody's loop."""

import asyncio
import contextlib
import logging
import ssl
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
from nbio.tls import Renewable, TlsError
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
        # Called, if set, when it has started; and when it has served max_requests, and ends.
        self.on_started: Callable[[], None] | None = None
        self.on_leaving: Callable[[], None] | None = None
        # Whether it was told to end without waiting.
        self.hurried = False
        # Where it listens: (host, port) pairs, (path, 0) of Unix sockets; once it has started.
        self.addresses: list[tuple[str, int]] = []
        self._urls: list[str] = []
        self._metrics_urls: list[str] = []

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
        if not self._urls:
            raise NbioError("the server has no address before it has started")
        return self._urls

    @property
    def pool(self) -> BodyPool:
        """The pool of request bodies. Raises NbioError before the server has started."""
        if self._hub is None:
            raise NbioError("the server has no pool before it has started")
        return self._hub.pool

    @property
    def metrics_urls(self) -> list[str]:
        """Where its metrics are, if anywhere, once it has started."""
        return self._metrics_urls

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
                self._ssl = Renewable.of(config)
            self._listening = listening = Listening(hub, self._ssl, self._places)
            listening.enough = self._served_enough
            await listening.start()
        except BaseException:
            await self._end_lifespan()
            raise
        hub.start()
        self.addresses = listening.addresses
        self._urls, self._metrics_urls = listening.urls, listening.metrics_urls

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

    def connection(self) -> asyncio.BaseProtocol:
        """A connection for a transport of the caller's own. Raises NbioError unless it runs."""
        if self._listening is None:
            raise NbioError("the server takes no connections unless it has started")
        return self._listening.connection()

    def reload_certificates(self) -> None:
        """Read certificate, key and authorities again; handshakes from here on use them.

        What can't be used is logged, and all that is in use is kept.
        """
        config = self.config
        if not isinstance(self._ssl, Renewable):
            logger.info("there is no certificate to reload")
            return
        try:
            self._ssl.renew(config)
        except TlsError as error:
            logger.error("the certificate in use is kept: %s", error)
        else:
            authorities = f" and {config.ssl_ca_certs}" if config.ssl_ca_certs else ""
            logger.info("reloaded %s%s", config.ssl_certfile, authorities)

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
        self.hurried = self.hurried or now
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

    def _served_enough(self) -> None:
        if self.on_leaving is not None:
            self.on_leaving()
        self.shutdown()

    def _announce(self) -> None:
        if self.on_started is not None:
            self.on_started()
            return
        places = [*self.urls, *(f"{url}/metrics" for url in self.metrics_urls)]
        logger.info("serving %s on %s", self.interface, ", ".join(places))

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
