"""A server's listeners: sockets to connections, the metrics' port, and what observes them."""

import asyncio
import os
import random
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any, Self

from nbio.accepting import Factory, Listener, accept_queued, join, listen
from nbio.access import AccessLog
from nbio.binds import close_sockets, name_of, open_sockets, parse
from nbio.config import Config
from nbio.hub import Hub
from nbio.metrics import Metrics, MetricsPort, Slabs
from nbio.observing import Observation, Observer, Observing
from nbio.pool import PoolStats
from nbio.preface import Preface
from nbio.protocol import Connection
from nbio.proxy import Forwarding, Trust
from nbio.tls import UNHURRIED

WATCH = 0.25
"""Seconds between looks at what the metrics and max_requests want to know."""


class Places:
    """Sockets that listen, and the memory in which workers count: made once, before any fork.

    Raises what `open_sockets` raises.
    """

    def __init__(self, config: Config, slabs: int = 1) -> None:
        self._owner = os.getpid()
        self.sockets = open_sockets(config)
        self.metrics_sockets: list[socket.socket] = []
        self.slabs: Slabs | None = None
        # The slab that this process counts in.
        self.index = 0
        if config.metrics_bind:
            self.slabs = Slabs(slabs)
            port = parse(config.metrics_bind, 9100)
            at = Config(bind=(config.metrics_bind,), port=port.port)
            try:
                self.metrics_sockets = open_sockets(at, {})
            except BaseException:
                self.close()
                raise

    @classmethod
    def nowhere(cls) -> Self:
        """No sockets: the caller brings its own connections."""
        places = cls.__new__(cls)
        places._owner = os.getpid()
        places.sockets = []
        places.metrics_sockets = []
        places.slabs = None
        places.index = 0
        return places

    def names(self, scheme: str) -> list[str]:
        """Where they are, for people."""
        metrics = [f"{name_of(sock, 'http')}/metrics" for sock in self.metrics_sockets]
        return [*(name_of(sock, scheme) for sock in self.sockets), *metrics]

    def close(self) -> None:
        """Close the sockets; the process that made them removes the paths of Unix sockets too."""
        sockets = [*self.sockets, *self.metrics_sockets]
        close_sockets(sockets, remove=self._owner == os.getpid())


class Listening:
    """The listeners of one server."""

    def __init__(
        self, hub: Hub, context: ssl.SSLContext | None, places: Places | None = None
    ) -> None:
        config = hub.config
        self._hub = hub
        self._context = context
        # Before the sockets: what is wrong with an option is to be said first.
        trust = Trust(config.trusted_proxies)
        log = AccessLog(config.access_format) if config.access_log else None
        self._places = places if places is not None else Places(config)
        self._metrics: Metrics | None = None
        if self._places.slabs is not None:
            self._metrics = Metrics(self._places.slabs, self._places.index)
        observers: list[Observer] = [one for one in (log, self._metrics) if one is not None]
        self._factory = self._connecting(observers, trust)
        # A loop's options for connections that begin with a handshake, not with a preface.
        self._tls: dict[str, Any] = {}
        if context is not None and not config.proxy_protocol:
            wait = config.ssl_handshake_timeout
            self._tls = {"ssl": context, "ssl_handshake_timeout": wait}
            self._tls["ssl_shutdown_timeout"] = UNHURRIED
        self._listeners: list[Listener] = []
        self._watch: asyncio.TimerHandle | None = None
        self._limit = config.max_requests and config.max_requests + random.randint(
            0, config.max_requests_jitter
        )
        self.enough: Callable[[], None] | None = None
        scheme = "http" if context is None else "https"
        self.urls = [name_of(sock, scheme) for sock in self._places.sockets]
        self.metrics_urls = [name_of(sock, "http") for sock in self._places.metrics_sockets]
        names = [(s.family, s.getsockname()) for s in self._places.sockets]
        self.addresses = [
            (str(name), 0) if family == socket.AF_UNIX else (name[0], name[1])
            for family, name in names
        ]

    def _connecting(self, observers: list[Observer], trust: Trust) -> Factory:
        hub, config = self._hub, self._hub.config
        connect: Callable[[Hub], Connection] = Connection
        if config.opentelemetry:
            # Only here: not everybody has it.
            from nbio.tracing import Tracing

            hub.site = tracing = Tracing(hub.site, hub)
            observers = [*observers, tracing]
        if observers or config.request_ids:
            connect = Observation(observers, ids=config.request_ids, trust=trust).connect
            hub.site = Observing(hub.site)
        if trust:
            hub.site = Forwarding(hub.site, trust, config.forwarded)
        make: Callable[[Hub], asyncio.BaseProtocol] = connect
        if config.proxy_protocol:
            make = partial(Preface, trust=trust, connect=connect, context=self._context)
        if self._context is not None:
            return partial(self._arriving, make)
        return partial(make, hub)

    async def start(self) -> None:
        """Begin to accept connections. Raises OSError."""
        loop = asyncio.get_running_loop()
        backlog = self._hub.config.backlog
        for sock in self._places.sockets:
            self._listeners.append(await listen(loop, sock, self._factory, backlog, self._tls))
        if self._metrics is not None:
            port = MetricsPort(self._metrics, self._refresh)
            for sock in self._places.metrics_sockets:
                self._listeners.append(await listen(loop, sock, port.connect, backlog, {}))
        if self._metrics is not None or self._limit:
            self._look()

    def _arriving(self, connect: Callable[[Hub], asyncio.BaseProtocol]) -> asyncio.BaseProtocol:
        """Make a connection of which the hub hears after its handshake, and never if that fails."""
        hub = self._hub
        now = hub.loop.time()
        while hub.arriving and hub.arriving[eldest := next(iter(hub.arriving))] <= now:
            del hub.arriving[eldest]
        made = connect(hub)
        hub.arriving[made] = now + hub.config.ssl_handshake_timeout
        return made

    def connection(self) -> asyncio.BaseProtocol:
        """A new connection, without a transport yet."""
        return self._factory()

    def stop(self) -> list[socket.socket]:
        """Accept what the kernel has queued, then no more; `join` takes what is returned."""
        queued = accept_queued(self._places.sockets, self._hub.config.backlog)
        for listener in self._listeners:
            listener.close()
        self._places.close()
        return queued

    async def join(self, accepted: socket.socket) -> None:
        """Make a connection of one that was accepted. One that is gone already doesn't matter."""
        await join(asyncio.get_running_loop(), accepted, self._factory, self._tls)

    def note(self, stats: PoolStats) -> None:
        """The pool's last counts, for the metrics of the other workers."""
        if self._watch is not None:
            self._watch.cancel()
        if self._metrics is not None:
            self._metrics.pool(stats)
            self._metrics.connected(0)

    def _refresh(self) -> None:
        if self._metrics is not None:
            self._metrics.pool(self._hub.pool.stats())
            self._metrics.connected(len(self._hub.connections))

    def _look(self) -> None:
        self._refresh()
        if self._limit and self._hub.requests >= self._limit and self.enough is not None:
            # Told once; what there is to count goes on.
            self._limit = 0
            self.enough()
        self._watch = self._hub.loop.call_later(WATCH, self._look)
